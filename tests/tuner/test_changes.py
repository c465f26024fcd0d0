"""Change points: what is found, what is not, and how often chance is taken for a change."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from outpace.tuner.report.changes import ALPHA, SHORTEST, change_points, mid_ranks, scores

QUICK = settings(max_examples=20, deadline=None)
"""Each example draws thousands of permutations."""
finite = st.floats(-1e6, 1e6)


@QUICK
@given(st.integers(6, 20), st.integers(6, 20), finite, finite)
def test_a_step_is_found_where_it_is(before, after, low, high):
    assume(low != high)
    (change,) = change_points([low] * before + [high] * after)
    assert (change.index, change.before, change.after) == (before, low, high)
    assert change.p_value <= ALPHA


def test_a_change_among_the_last_runs_is_found():
    values = np.random.default_rng(5).uniform(1.0, 1.05, 60)
    values[-6:] *= 1.1
    (change,) = change_points(values.tolist())
    assert abs(change.index - 54) <= 1


def test_two_steps_are_told_apart():
    rng = np.random.default_rng(3)
    levels = np.repeat([1.0, 2.0, 0.5], 12)
    found = change_points((levels * rng.uniform(0.98, 1.02, 36)).tolist())
    assert [change.index for change in found] == [12, 24]
    assert [round(change.before, 1) for change in found] == [1.0, 2.0]
    assert [round(change.after, 1) for change in found] == [2.0, 0.5]


def test_one_slow_run_is_no_change():
    assert change_points([1.0] * 10 + [50.0] + [1.0] * 10) == ()


@given(finite, st.integers(0, 40))
@QUICK
def test_a_constant_series_has_no_change(value, count):
    assert change_points([value] * count) == ()


@given(st.lists(finite, max_size=SHORTEST - 1))
def test_a_short_series_shows_none(values):
    assert change_points(values) == ()


@QUICK
@given(st.lists(st.integers(-1000, 1000), max_size=40))
def test_only_the_order_of_values_counts(values):
    grown = change_points([7.0 * value**3 + value for value in values])
    assert [(c.index, c.p_value) for c in change_points(values)] == [
        (c.index, c.p_value) for c in grown
    ]


def test_a_series_without_a_change_rarely_shows_one():
    """At most 1% of series; of 300 at most 9 with probability above 99.8% (binomial)."""
    rng = np.random.default_rng(11)
    series = rng.standard_t(2, (300, 15))  # heavy tails, as timings have
    assert sum(bool(change_points(values.tolist())) for values in series) <= 9


@given(st.lists(finite, min_size=2, max_size=20))
def test_the_score_compares_every_value_before_with_every_one_after(values):
    series = np.asarray(values)
    signs = np.sign(series[:, None] - series[None, :])
    n = len(values)
    expected = [abs(signs[:t, t:].sum()) / (t * (n - t)) ** 0.5 for t in range(1, n)]
    assert scores(mid_ranks(series)).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_was_not_measured_is_refused(value):
    with pytest.raises(ValueError, match="finite"):
        change_points([1.0] * 12 + [value])
