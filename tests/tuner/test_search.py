import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outpace.errors import UsageError
from outpace.model import Parameter, Status
from outpace.tuner.search import DEFAULT, STRATEGIES, Failed, Measured, Record, make_strategy
from outpace.tuner.space import SearchSpace

VALUES = [(1, 2, 4, 8), (True, False), ("aos", "soa", "mixed"), (16, 32, 48, 64, 96), (0, 5, 3)]


@st.composite
def spaces(draw):
    """A small space of any points of some parameters."""
    kinds = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=4))
    parameters = [Parameter(f"p{i}", values) for i, values in enumerate(kinds)]
    points = np.stack(np.indices([len(v) for v in kinds]), axis=-1).reshape(-1, len(kinds))
    kept = draw(st.lists(st.integers(0, len(points) - 1), min_size=1, max_size=60))
    return SearchSpace(parameters, points=points[kept])


def outcome_of(point, salt=0):
    """A time that depends on the point, or a failure for some."""
    draw = hash((*point, salt)) % 97
    return Failed(Status.CRASHED) if draw % 7 == 0 else Measured(1e-3 * (1 + draw + sum(point)))


def run(strategy, count, outcome=outcome_of):
    asked = []
    for _ in range(count):
        for point in strategy.ask(1):
            strategy.tell(point, outcome(point))
            asked.append(point)
    return asked


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=15, deadline=None)
@given(spaces(), st.integers(0, 3), st.data())
def test_asks_for_every_valid_point_once_in_whatever_order_it_is_told(name, space, seed, data):
    strategy = make_strategy(name, space, seed, ())
    asked, waiting = [], []
    while True:
        fresh = strategy.ask(data.draw(st.integers(1, 5)))
        asked += fresh
        waiting += fresh
        if not fresh and not waiting:
            break
        for _ in range(data.draw(st.integers(0 if fresh else 1, len(waiting)))):
            point = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            strategy.tell(point, outcome_of(point))
    assert sorted(asked) == sorted(map(tuple, space.points.tolist()))


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=15, deadline=None)
@given(spaces(), st.integers(0, 3), st.data())
def test_a_restart_goes_on_as_the_search_would_have(name, space, seed, data):
    whole = run(make_strategy(name, space, seed, ()), space.size)
    cut = data.draw(st.integers(0, space.size))
    again = make_strategy(name, space, seed, ())
    for point in whole[:cut]:
        again.tell(point, outcome_of(point))
    expected = [p for p in whole if p not in whole[:cut]]
    found = run(again, space.size)
    assert sorted(found) == sorted(expected)
    if name != "random":  # draws anew what it has not been told
        assert found == expected


def test_equal_seeds_give_equal_questions_and_others_do_not():
    space = rough_space()
    runs = [run(make_strategy(DEFAULT, space, seed, ()), 30) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_a_restart_in_a_space_that_is_searched_in_part_goes_on_too():
    space = rough_space()
    assert space.size > 5000
    whole = run(make_strategy(DEFAULT, space, 3, ()), 60)
    again = make_strategy(DEFAULT, space, 3, ())
    for point in whole[:45]:
        again.tell(point, outcome_of(point))
    assert run(again, 15) == whole[45:]


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_was_told_without_being_asked_is_not_asked(name):
    space = SearchSpace([Parameter("a", (1, 2, 3, 4)), Parameter("b", (True, False))])
    strategy = make_strategy(name, space, 0, ())
    strategy.tell((1, 0), Measured(1.0))
    strategy.tell((2, 1), Failed(Status.WRONG))
    assert {(1, 0), (2, 1)}.isdisjoint(run(strategy, 20))


def test_a_space_that_is_not_enumerated_is_searched():
    parameters = [Parameter(f"p{i}", tuple(range(1, 11))) for i in range(12)]
    space = SearchSpace(parameters, ["p0 * p1 <= 40"])
    assert space.size is None
    for name in (DEFAULT, "random"):
        asked = run(make_strategy(name, space, 0, ()), 40)
        assert len(set(asked)) == 40
        assert all(space.is_valid(point) for point in asked)


def test_exhaustive_refuses_a_space_that_is_not_enumerated():
    space = SearchSpace([Parameter(f"p{i}", tuple(range(10))) for i in range(12)])
    with pytest.raises(UsageError, match="too large to try every point"):
        make_strategy("exhaustive", space, 0, ())


def test_an_unknown_strategy_is_named_with_those_there_are():
    with pytest.raises(UsageError, match="no strategy 'anneal'; there are surrogate, random"):
        make_strategy("anneal", SearchSpace([Parameter("a", (1, 2))]), 0, ())


def rough_space():
    """18 x 4 x 5 x 8 x 2 = 5760 combinations without those whose blocks are too large."""
    parameters = [
        Parameter("block_x", tuple(range(16, 289, 16))),
        Parameter("block_y", (1, 2, 4, 8)),
        Parameter("tile", (1, 2, 3, 4, 8)),
        Parameter("unroll", tuple(range(1, 9))),
        Parameter("cache", (True, False)),
        Parameter("layout", ("soa", "aos")),
    ]
    return SearchSpace(parameters, ["block_x * block_y <= 2048"])


def seconds_of(params, tilt=0.0):
    """Interacting sizes, with an optimum of 1.0; `tilt` stands for another machine."""
    threads = params["block_x"] * params["block_y"]
    slow = 1 + abs(np.log2(threads / 256)) * (0.3 + tilt)
    slow += 0.4 * abs(np.log2(params["tile"] / 4)) * (1 if params["layout"] == "soa" else 0.2)
    slow += (params["layout"] == "aos") * 0.5 + 0.05 * abs(params["unroll"] - 4)
    slow += 0.3 * (params["block_x"] & (params["block_x"] - 1) != 0)
    return slow * (1.1 if params["cache"] else 1.0)


def measured(space):
    def outcome(point):
        params = space.bind(point)
        if params["tile"] * params["unroll"] > 24:
            return Failed(Status.BUILD_FAILED)
        return Measured(seconds_of(params))

    return outcome


def best_after(name, space, seed, count, warm=()):
    outcomes = [measured(space)(p) for p in run_measured(name, space, seed, count, warm)]
    return min(o.seconds for o in outcomes if isinstance(o, Measured))


def run_measured(name, space, seed, count, warm=()):
    return run(make_strategy(name, space, seed, warm), count, measured(space))


def test_the_default_finds_what_random_points_do_not():
    space = rough_space()
    ours = np.median([best_after(DEFAULT, space, seed, 60) for seed in range(5)])
    theirs = np.median([best_after("random", space, seed, 60) for seed in range(5)])
    assert ours < 1.03
    assert theirs > 1.08


def test_it_learns_where_points_fail():
    space = rough_space()
    failed = [
        isinstance(measured(space)(point), Failed)
        for seed in range(3)
        for point in run_measured(DEFAULT, space, seed, 60)[30:]
    ]
    everywhere = np.mean(
        [isinstance(measured(space)(tuple(p)), Failed) for p in space.points[::7].tolist()]
    )
    assert np.mean(failed) < 0.5 * everywhere


def records(space, source, tilt, factor=1.0):
    """What a sample of points took on another machine."""
    rng = np.random.default_rng(1)
    points = map(tuple, space.sample(rng, 300).tolist())
    bound = [space.bind(point) for point in points]
    return [
        Record(p, seconds_of(p, tilt) ** factor if p["tile"] < 8 else None, source) for p in bound
    ]


def test_what_is_known_elsewhere_helps_from_the_start():
    space = rough_space()
    known = [*records(space, "a card", 0.2), *records(space, "another", -0.1)]
    warm = np.median([best_after(DEFAULT, space, seed, 15, known) for seed in range(5)])
    cold = np.median([best_after(DEFAULT, space, seed, 15) for seed in range(5)])
    assert warm < 1 + (cold - 1) / 3


def test_sources_that_mislead_are_outgrown():
    space = rough_space()
    known = records(space, "upside down", 0.0, factor=-1.0)
    assert np.median([best_after(DEFAULT, space, seed, 80, known) for seed in range(3)]) < 1.08


def test_records_that_do_not_fit_the_space_are_left_out():
    space = SearchSpace([Parameter("a", (1, 2, 4)), Parameter("b", (True, False))])
    known = [Record({"a": 3, "b": True}, 1.0), Record({"c": 1}, 1.0), Record({"a": 4}, None)]
    assert len(run(make_strategy(DEFAULT, space, 0, known), 6)) == 6
    known.append(Record({"a": 4, "b": False}, 1.0))
    assert make_strategy(DEFAULT, space, 0, known).ask(1) == [(2, 1)]


def test_nothing_works_and_the_search_goes_on():
    space = rough_space()
    asked = run(make_strategy(DEFAULT, space, 0, ()), 40, lambda _: Failed(Status.CRASHED))
    assert len(set(asked)) == 40


@pytest.mark.parametrize("name", ["kernel_tuner:genetic_algorithm", "kernel_tuner:random_sample"])
def test_strategies_of_kernel_tuner_try_every_point_once(name):
    pytest.importorskip("kernel_tuner", reason="in the extra `search`")
    space = SearchSpace([Parameter("a", (1, 2, 4, 8)), Parameter("b", (0, 1, 2))], ["a != b"])
    asked = run(make_strategy(name, space, 0, ()), 20)
    assert sorted(asked) == sorted(map(tuple, space.points.tolist()))


def test_optuna_tries_every_point_once():
    pytest.importorskip("optuna", reason="in the extra `search`")
    space = SearchSpace([Parameter("a", (1, 2, 4, 8)), Parameter("b", (0, 1, 2))], ["a != b"])
    asked = run(make_strategy("optuna", space, 0, ()), 20)
    assert sorted(asked) == sorted(map(tuple, space.points.tolist()))
