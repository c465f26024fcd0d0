"""When a change is red, green or neither: the rule alone, on ratios."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.tuner.ci import rule as ci_rule
from outpace.tuner.ci.rule import Colour, PairRatios, colour_of, ended, rule_for

RULES = {workloads: rule_for(workloads) for workloads in (1, 4)}
same = st.floats(0.8, 1.04)
seen = st.floats(1.06, 1.3)
pairs = st.builds(
    PairRatios,
    st.floats(0.1, 10.0),
    st.floats(0.5, 2.0),
    st.floats(0.5, 2.0),
    st.none() | st.just("busy"),
)


def decide(next_pair, workloads=1):
    """Colour and rounds of one workload whose process pairs come from a function."""
    rule, rounds, measured = RULES[workloads], [], []
    while (colour := colour_of(rounds)) is None:
        measured.append(next_pair())
        done = ended(rule, measured)
        if done is not None:
            rounds.append(done)
            measured = []
    return colour, rounds


@given(st.data())
def test_what_is_not_slower_is_green_after_one_round(data):
    colour, rounds = decide(
        lambda: PairRatios(data.draw(same), data.draw(same), data.draw(seen)), workloads=4
    )
    assert colour is Colour.GREEN
    assert len(rounds) == 1


@given(st.data())
def test_what_is_slower_is_red_after_two(data):
    colour, rounds = decide(
        lambda: PairRatios(data.draw(seen), data.draw(same), data.draw(seen)), workloads=4
    )
    assert colour is Colour.RED
    assert len(rounds) == 2


@given(st.data(), st.floats(0.1, 10.0))
def test_a_machine_on_which_a_slow_base_is_not_seen_tells_nothing(data, head):
    colour, rounds = decide(lambda: PairRatios(head, data.draw(same), data.draw(same)))
    assert colour is Colour.INCONCLUSIVE
    assert all("10%" in one.void for one in rounds)


@given(st.data(), st.floats(0.1, 10.0))
def test_a_machine_on_which_the_base_is_slower_than_itself_tells_nothing(data, head):
    colour, rounds = decide(lambda: PairRatios(head, data.draw(seen), data.draw(seen)))
    assert colour is Colour.INCONCLUSIVE
    assert all("itself" in one.void for one in rounds)


@given(st.floats(0.1, 10.0), st.floats(0.5, 2.0), st.floats(0.5, 2.0))
def test_a_busy_machine_is_inconclusive(head, again, slowed):
    colour, rounds = decide(lambda: PairRatios(head, again, slowed, "a neighbour"))
    assert colour is Colour.INCONCLUSIVE
    assert "a neighbour" in rounds[-1].void


@given(st.data())
def test_no_answer_without_valid_rounds_that_agree(data):
    colour, rounds = decide(lambda: data.draw(pairs))
    valid = [one.slower for one in rounds if one.void is None]
    assert len(rounds) <= ci_rule.ROUNDS
    if colour is Colour.RED:
        assert valid == [True] * ci_rule.AGREEING
    elif colour is Colour.GREEN:
        assert valid.count(False) == 1
        assert valid[-1] is False
    else:
        assert len(rounds) == ci_rule.ROUNDS
        assert valid.count(True) < ci_rule.AGREEING


def test_a_ratio_that_is_no_number_never_passes():
    colour, _ = decide(lambda: PairRatios(math.nan, math.nan, math.nan))
    assert colour is Colour.INCONCLUSIVE


@pytest.mark.parametrize("workloads", [1, 2, 10, 100])
def test_the_probability_of_a_false_red_is_bounded(workloads):
    alpha = rule_for(workloads).alpha
    assert workloads * 3 * alpha**2 <= ci_rule.FALSE_RED


def test_a_change_at_the_threshold_is_rarely_red():
    """Heads that show slower as often as a coin falls, with controls that hold."""
    rng = np.random.default_rng(1)
    colours = [
        decide(lambda: PairRatios(rng.choice([1.04, 1.06]), 1.0, 1.1))[0] for _ in range(1000)
    ]
    assert colours.count(Colour.RED) <= 10
