from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outpace.errors import DraftError
from outpace.model import Draft, Parameter, Status, Variant
from outpace.tuner.exploration import HOPELESS, Exploration
from outpace.tuner.search import Failed, Measured

LARGE = (Parameter("X", tuple(range(10))), Parameter("Y", tuple(range(10))))


def draft(name, *parameters, constraints=()):
    return Draft("numba", f"# {name}", tuple(parameters), tuple(constraints))


def explore(exploration, batch, outcome_of, most=10_000):
    """Ask and tell until nothing is left; the variants in order."""
    tried = []
    while len(tried) < most and (asked := exploration.ask(min(batch, most - len(tried)))):
        for variant in asked:
            exploration.tell(variant, outcome_of(variant))
        tried += asked
    return tried


def test_a_small_space_is_tried_whole_the_defaults_first():
    exploration = Exploration()
    exploration.add(draft("a", Parameter("T", (8, 4, 2)), Parameter("U", (1, 2))))
    tried = explore(exploration, 2, lambda v: Measured(1.0))
    assert len(tried) == len({v.hash for v in tried}) == 6
    assert tried[0].params == {"T": 8, "U": 1}


def test_a_draft_without_parameters_is_one_variant():
    exploration = Exploration()
    exploration.add(draft("a"))
    assert [v.params for v in explore(exploration, 4, lambda v: Measured(1.0))] == [{}]


def test_every_draft_is_tried_before_any_twice():
    exploration = Exploration()
    drafts = [draft(str(i), *LARGE) for i in range(5)]
    for each in drafts:
        exploration.add(each)
    assert {v.draft.hash for v in exploration.ask(5)} == {each.hash for each in drafts}


def test_slow_drafts_and_those_that_fail_get_fewer_turns():
    exploration = Exploration()
    seconds = {"# fast": 1.0, "# slow": 4.0}
    for name in ("fast", "slow", "broken"):
        exploration.add(draft(name, *LARGE))

    def outcome_of(variant):
        known = seconds.get(variant.draft.source)
        return Failed(Status.BUILD_FAILED) if known is None else Measured(known)

    tried = [v.draft.source for v in explore(exploration, 2, outcome_of, most=66)]
    assert 40 <= tried.count("# fast") <= 54
    assert 8 <= tried.count("# slow") <= 16
    assert 4 <= tried.count("# broken") <= 9


def test_a_draft_that_is_wrong_again_and_again_is_left():
    exploration = Exploration()
    names = ("wrong", "wrong once right", "does not build")
    for name in names:
        exploration.add(draft(name, *LARGE))
    seen = dict.fromkeys((f"# {name}" for name in names), 0)

    def outcome_of(variant):
        source = variant.draft.source
        seen[source] += 1
        if source == "# does not build":
            return Failed(Status.BUILD_FAILED)
        is_right = source == "# wrong once right" and seen[source] == HOPELESS
        return Measured(1.0) if is_right else Failed(Status.WRONG)

    explore(exploration, 1, outcome_of, most=60)
    assert seen["# wrong"] == HOPELESS
    assert seen["# wrong once right"] > HOPELESS
    assert seen["# does not build"] > HOPELESS


def test_a_search_of_a_large_space_begins_with_the_defaults():
    exploration = Exploration()
    exploration.add(draft("a", *LARGE, constraints=["X + Y < 12"]))
    tried = explore(exploration, 7, lambda v: Measured(1.0))
    assert tried[0].params == {"X": 0, "Y": 0}
    assert len(tried) == len({v.hash for v in tried}) == 72


def test_without_a_budget_a_large_space_is_tried_in_part():
    exploration = Exploration(20)
    exploration.add(draft("a", *LARGE))
    assert len(explore(exploration, 3, lambda v: Measured(1.0))) == 20


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 7))
def test_what_is_known_is_not_asked_again(known, batch, batch_again):
    large = draft("a", *LARGE, constraints=["X + Y < 12"])
    numbers = count()

    def outcome_of(variant):
        value = variant.params["X"] * variant.params["Y"]
        return Failed(Status.CRASHED) if next(numbers) % 5 == 4 else Measured(1.0 + value)

    first = Exploration()
    first.add(large)
    told = []
    for variant in explore(
        first, batch, lambda v: told.append((v, outcome_of(v))) or told[-1][1], known
    ):
        assert variant.params["X"] + variant.params["Y"] < 12
    second = Exploration()
    second.add(large, told)
    rest = explore(second, batch_again, outcome_of)
    everything = {v.hash for v, _ in told} | {v.hash for v in rest}
    assert len(everything) == len(told) + len(rest) == 72


def test_a_draft_that_is_added_again_goes_on():
    exploration = Exploration()
    small = draft("a", Parameter("T", (1, 2, 3)))
    exploration.add(small)
    first = exploration.ask(2)
    exploration.add(small)
    assert {v.hash for v in [*first, *exploration.ask(5)]} == {
        Variant(small, {"T": value}).hash for value in (1, 2, 3)
    }


def test_malformed_spaces_are_draft_errors():
    with pytest.raises(DraftError, match="no combination"):
        Exploration().add(draft("a", Parameter("T", (1, 2)), constraints=["T > 2"]))
    with pytest.raises(DraftError, match="which is no parameter"):
        Exploration().add(draft("a", Parameter("T", (1, 2)), constraints=["S > 2"]))
