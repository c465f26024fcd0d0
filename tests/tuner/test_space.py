from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outpace.errors import DraftError, UsageError
from outpace.model import Parameter
from outpace.tuner.space import SearchSpace

BLOCKS = [
    Parameter("x", (16, 32, 64, 128)),
    Parameter("y", (1, 2, 4, 8)),
    Parameter("layout", ("soa", "aos")),
    Parameter("pad", (False, True)),
]
RULES = ("32 <= x * y <= 128", "not pad or layout == 'soa'")


def brute_force(parameters, constraints):
    names = [p.name for p in parameters]

    def allowed(point):
        binding = {p.name: p.values[i] for p, i in zip(parameters, point, strict=True)}
        for text in constraints:
            try:
                if not eval(text, {}, binding):
                    return False
            except ZeroDivisionError:
                return False
        return all(
            p.when is None or point[names.index(p.name)] == 0 or eval(p.when, {}, binding)
            for p in parameters
        )

    return [p for p in product(*(range(len(q.values)) for q in parameters)) if allowed(p)]


def rows(points):
    return [tuple(row) for row in points.tolist()]


def test_points_are_those_that_satisfy_every_constraint_in_order():
    space = SearchSpace(BLOCKS, RULES)
    assert rows(space.points) == brute_force(BLOCKS, RULES)
    assert space.size == len(space.points)
    assert space.points.dtype == np.uint8
    assert not space.points.flags.writeable


def test_points_have_values_and_values_have_points():
    space = SearchSpace(BLOCKS, RULES)
    for row, point in enumerate(rows(space.points)):
        assert space.is_valid(point)
        assert space.point_of(space.bind(point)) == point
        assert space.row_of(point) == row
    assert space.bind((1, 0, 1, 0)) == {"x": 32, "y": 1, "layout": "aos", "pad": False}


def test_points_that_are_not_in_the_space():
    space = SearchSpace(BLOCKS, RULES)
    assert not space.is_valid((0, 0, 0, 0))
    assert not space.is_valid((4, 0, 0, 0))
    assert not space.is_valid((-1, 0, 0, 0))
    with pytest.raises(KeyError):
        space.row_of((0, 0, 0, 0))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"x": 16, "y": 1, "layout": "soa"}, "no value for 'pad'"),
        ({"x": 16, "y": 1, "layout": "soa", "pad": True, "z": 1}, "no parameter 'z'"),
        ({"x": 17, "y": 1, "layout": "soa", "pad": True}, "x has no value 17; there are 16, 32"),
    ],
)
def test_values_that_have_no_point(params, message):
    with pytest.raises(UsageError, match=message):
        SearchSpace(BLOCKS, RULES).point_of(params)


@pytest.mark.parametrize(
    ("parameters", "constraints", "message"),
    [
        ([Parameter("a", ())], [], "'a' has no values"),
        ([Parameter("a", (1,)), Parameter("a", (2,))], [], "stands twice"),
        ([Parameter("a", (1,))], ["b > 1"], "'b > 1' names 'b', which is no parameter"),
        ([Parameter("a", (1,))], ["1 > 0"], "names no parameter"),
        ([Parameter("a", (1, "x"))], ["a == 1"], "whose values are strings and numbers"),
        ([Parameter("a", ("x",))], ["a > 1"], "compares a string with a number"),
        ([Parameter("a", (1,), "a == 1")], [], "the condition of 'a', .*on the parameter itself"),
    ],
)
def test_malformed_spaces_are_refused(parameters, constraints, message):
    with pytest.raises(DraftError, match=message):
        SearchSpace(parameters, constraints)


def test_a_parameter_that_does_not_matter_keeps_its_first_value():
    parameters = [
        Parameter("vectorise", (True, False)),
        Parameter("unroll", (1, 2, 4, 8), when="vectorise == True"),
        Parameter("peel", (0, 1), when="unroll > 1"),
    ]
    space = SearchSpace(parameters)
    assert rows(space.points) == brute_force(parameters, ())
    assert space.size == 1 + 3 * 2 + 1
    off = rows(space.neighbours((0, 3, 1)))
    assert (1, 0, 0) in off
    assert all(map(space.is_valid, off))


def test_a_space_without_parameters_has_one_point():
    space = SearchSpace([])
    assert rows(space.points) == [()]
    assert space.is_valid(())


def test_an_empty_space_says_so_when_it_is_sampled():
    space = SearchSpace(BLOCKS, ["x < 0"])
    assert space.size == 0
    with pytest.raises(UsageError, match="no combination"):
        space.sample(np.random.default_rng(0), 1)


def test_neighbours_differ_in_as_many_parameters_as_asked():
    space = SearchSpace(BLOCKS, RULES)
    points = rows(space.points)
    for point in points:
        for distance in (1, 2):
            expected = [p for p in points if sum(map(int.__ne__, p, point)) == distance]
            assert sorted(rows(space.neighbours(point, distance=distance))) == expected
        near = [p for p in points if sum(abs(a - b) for a, b in zip(p, point, strict=True)) == 1]
        assert sorted(rows(space.neighbours(point, adjacent=True))) == near


def test_a_space_of_given_points():
    given_points = np.array([[2, 0, 0, 0], [1, 0, 0, 1], [2, 0, 0, 0], [0, 0, 0, 0]])
    space = SearchSpace(BLOCKS, RULES, points=given_points)
    assert rows(space.points) == [(1, 0, 0, 1), (2, 0, 0, 0)]
    assert rows(space.neighbours((1, 0, 0, 0))) == [(2, 0, 0, 0), (1, 0, 0, 1)]


# --- against brute force ------------------------------------------------------------------------

VALUE_LISTS = st.one_of(
    st.lists(st.integers(-3, 40), min_size=1, max_size=5, unique=True),
    st.just([False, True]),
)
TEMPLATES = (
    "{} * {} <= 24", "{} % {} == 0", "{} + {} < 30", "{} == 0 or {} // {} > 1", "{} != {}",
    "min({}, {}) < {}", "not {} or {} > 2", "{} in (1, 2, 3)", "{} / {} < 1.5",
)  # fmt: skip


@st.composite
def spaces(draw):
    names = "abcde"[: draw(st.integers(1, 5))]
    pick = st.sampled_from(names)
    parameters = []
    for name in names:
        conditions = [f"{n} > 1" for n in names if n != name]
        when = draw(st.sampled_from([None, None, None, *conditions]))
        parameters.append(Parameter(name, tuple(draw(VALUE_LISTS)), when))
    constraints = [
        template.format(*(draw(pick) for _ in range(template.count("{}"))))
        for template in draw(st.lists(st.sampled_from(TEMPLATES), max_size=4))
    ]
    return parameters, constraints


@settings(max_examples=150, deadline=None)
@given(spaces())
def test_enumeration_equals_brute_force(space):
    assert rows(SearchSpace(*space).points) == brute_force(*space)


@settings(max_examples=60, deadline=None)
@given(spaces(), st.integers(0, 2**32))
def test_sampling_without_enumerating_gives_valid_points_only(space, seed):
    valid = brute_force(*space)
    large = SearchSpace(*space, enumerate_at_most=0)
    if not valid:
        with pytest.raises(UsageError):
            large.sample(np.random.default_rng(seed), 1)
        return
    assert large.points is None
    assert set(rows(large.sample(np.random.default_rng(seed), 30))) <= set(valid)
    everything = list(product(*(range(len(p.values)) for p in large.parameters)))
    found = large.are_valid(np.array(everything))
    assert [p for p, ok in zip(everything, found, strict=True) if ok] == valid


def chi_squared_is_plausible(points, valid, draws):
    counts = Counter(rows(points))
    assert set(counts) <= set(valid)
    expected = draws / len(valid)
    statistic = sum((counts[p] - expected) ** 2 / expected for p in valid)
    freedom = len(valid) - 1
    # The seed is fixed; seven standard deviations leave room for none but a wrong distribution.
    return abs(statistic - freedom) < 7 * np.sqrt(2 * freedom)


def test_sampling_is_uniform_over_the_valid_points():
    parameters = [Parameter(n, tuple(range(1, 7))) for n in "abcd"]
    constraints = ["a * b <= 12", "b < c or d == 1", "c % d == 0"]
    valid = brute_force(parameters, constraints)
    space = SearchSpace(parameters, constraints, enumerate_at_most=0)
    draws = 20_000
    points = space.sample(np.random.default_rng(1), draws)
    assert chi_squared_is_plausible(points, valid, draws)


def test_sampling_is_uniform_where_a_constraint_is_too_large_to_tabulate():
    parameters = [Parameter(n, tuple(range(130))) for n in "abc"]
    space = SearchSpace(parameters, ["a + b + c <= 5", "a < 3"], enumerate_at_most=0)
    valid = brute_force([Parameter(n, tuple(range(6))) for n in "abc"], ["a + b + c <= 5", "a < 3"])
    draws = 500
    points = space.sample(np.random.default_rng(2), draws)
    assert space.size is None
    assert chi_squared_is_plausible(points, valid, draws)


def test_a_trillion_combinations_are_sampled():
    parameters = [Parameter(f"p{i}", tuple(range(10))) for i in range(14)]
    constraints = [f"p{i} < p{i + 1}" for i in range(0, 12, 2)] + ["p1 * p3 * p5 == 64"]
    space = SearchSpace(parameters, constraints)
    assert space.points is None
    points = space.sample(np.random.default_rng(0), 1000)
    assert space.are_valid(points).all()
    assert len(set(rows(points))) == 1000
    assert all(space.is_valid(p) for p in rows(space.neighbours(rows(points)[0])))


def test_drawing_gives_up_where_almost_nothing_is_valid():
    parameters = [Parameter(n, tuple(range(200))) for n in "abcde"]
    space = SearchSpace(parameters, ["a + b + c + d + e == 0"], enumerate_at_most=1000)
    with pytest.raises(UsageError, match="give the parameters fewer values"):
        space.sample(np.random.default_rng(0), 1)


def test_few_valid_points_among_very_many_combinations_are_enumerated():
    parameters = [Parameter(n, tuple(range(1, 65))) for n in "abcdef"]
    constraints = ["a * b == 64", "b * c == 64", "c * d == 64", "d * e == 64", "e * f == 64"]
    space = SearchSpace(parameters, constraints, enumerate_at_most=1000)
    assert space.size == 7
