"""The acceptance rule: its bound is exact, and its decisions follow from wins and losses alone."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.tuner.rule import SequentialRule, speedup_of


@pytest.mark.parametrize("rule", [SequentialRule(*pair) for pair in ((3, 5), (4, 7), (8, 11))])
def test_alpha_is_the_probability_of_promotion_under_the_null(rule):
    promoted = sum(_promotes(rule, wins) for wins in product([True, False], repeat=rule.total))
    assert rule.alpha == pytest.approx(promoted / 2**rule.total)


def _promotes(rule, wins):
    for seen in range(1, len(wins) + 1):
        decision = rule.decide(wins[:seen])
        if decision is not None:
            return decision
    raise AssertionError("the rule must decide within its total")


def test_the_published_rule():
    assert SequentialRule(8, 11).alpha == 16 / 2048


@given(st.floats(1e-5, 0.2))
def test_for_alpha_never_exceeds_what_it_was_given(alpha):
    rule = SequentialRule.for_alpha(alpha)
    assert rule.alpha <= alpha
    assert rule.total > rule.unanimous


def test_two_losses_end_it_and_nothing_is_decided_early():
    rule = SequentialRule(8, 11)
    assert rule.decide([]) is None
    assert rule.decide([True] * 7) is None
    assert rule.decide([True] * 8) is True
    assert rule.decide([False]) is None
    assert rule.decide([True, False, True, False]) is False
    assert rule.decide([False] + [True] * 9) is None
    assert rule.decide([False] + [True] * 10) is True


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=40))
def test_interval_holds_the_median_and_stays_in_range(ratios):
    speedup = speedup_of(ratios)
    assert min(ratios) <= speedup.low <= speedup.median <= speedup.high <= max(ratios)


def test_interval_of_many_ratios_is_narrower_than_their_range():
    ratios = [1.0 + i / 100 for i in range(41)]
    speedup = speedup_of(ratios)
    assert speedup.low == pytest.approx(1.13)  # P(Binomial(41, 1/2) <= 13) < 2.5% < P(... <= 14)
    assert speedup.high == pytest.approx(1.27)
