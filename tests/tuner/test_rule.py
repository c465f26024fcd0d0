"""The acceptance rule: its bound is exact, and its decisions follow from wins and losses alone."""

from __future__ import annotations

from itertools import product
from math import pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.tuner.rule import SequentialRule, speedup_of

RULES = [SequentialRule(pairs) for pairs in ((3,), (3, 5), (4, 7, 9), (5, 8, 10, 12), (2, 4, 6))]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_the_probability_of_promotion_is_that_of_all_ways_to_win(rule, p):
    most = rule.pairs[-1]
    ways = [wins for wins in product([True, False], repeat=most) if _promotes(rule, wins)]
    enumerated = sum(p ** sum(wins) * (1 - p) ** (most - sum(wins)) for wins in ways)
    assert rule.promotes(p) == pytest.approx(enumerated, abs=1e-12)


def _promotes(rule, wins):
    for seen in range(1, len(wins) + 1):
        decision = rule.decide(wins[:seen])
        if decision is not None:
            return decision
    raise AssertionError("the rule must decide within its last boundary")


def test_the_published_rule():
    rule = SequentialRule.for_alpha(0.01 * 6 / pi**2)
    assert rule.pairs == (8, 14, 18, 21, 24, 26, 29, 32)
    assert rule.alpha < 0.01 * 6 / pi**2
    assert rule.promotes(0.9) > 0.93


@given(st.floats(1e-5, 0.2))
def test_for_alpha_never_exceeds_what_it_was_given(alpha):
    rule = SequentialRule.for_alpha(alpha)
    assert rule.alpha <= alpha
    assert list(rule.pairs) == sorted(set(rule.pairs))


@given(st.floats(1e-5, 0.2), st.floats(0.0, 0.5))
def test_a_draft_that_wins_less_often_is_promoted_less_often(alpha, p):
    rule = SequentialRule.for_alpha(alpha)
    assert rule.promotes(p) <= rule.alpha


def test_losses_are_forgiven_for_more_pairs_and_nothing_is_decided_early():
    rule = SequentialRule((8, 11, 14))
    assert rule.decide([]) is None
    assert rule.decide([True] * 7) is None
    assert rule.decide([True] * 8) is True
    assert rule.decide([False]) is None
    assert rule.decide([True, False, False]) is False
    assert rule.decide([True, False, True, False]) is False
    assert rule.decide([True, True, True, False, False]) is None
    assert rule.decide([False] + [True] * 9) is None
    assert rule.decide([False] + [True] * 10) is True
    assert rule.decide([True] * 7 + [False] * 2 + [True] * 5) is True
    assert rule.decide([True] * 7 + [False] * 3) is False


def test_needed_is_the_next_boundary():
    rule = SequentialRule((8, 11))
    assert rule.needed([True] * 3) == 8
    assert rule.needed([True, False]) == 11
    assert rule.needed([False] * 4) == 11


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=40))
def test_interval_holds_the_median_and_stays_in_range(ratios):
    speedup = speedup_of(ratios)
    assert min(ratios) <= speedup.low <= speedup.median <= speedup.high <= max(ratios)


def test_interval_of_many_ratios_is_narrower_than_their_range():
    ratios = [1.0 + i / 100 for i in range(41)]
    speedup = speedup_of(ratios)
    assert speedup.low == pytest.approx(1.13)  # P(Binomial(41, 1/2) <= 13) < 2.5% < P(... <= 14)
    assert speedup.high == pytest.approx(1.27)
