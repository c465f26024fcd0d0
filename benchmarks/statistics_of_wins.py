"""From recorded process pairs to rates of promotion: resampling and exact intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from outpace.tuner.campaign import ATTEMPTS
from outpace.tuner.rule import SequentialRule

TOTAL_ALPHA = 0.01
"""False promotions allowed over all tunes of a reference; as `AlphaLedger` has it."""
RESAMPLES = 20_000


def rule_of(tune: int, attempt: int = 0) -> SequentialRule:
    """The rule of the k-th finalist in the n-th tune of a reference with one workload.

    A single draft that is judged is no finalist (0) and may spend all that its tune may.
    """
    return SequentialRule.for_alpha(TOTAL_ALPHA * 6 / (math.pi * tune) ** 2 / 2**attempt)


def promotion_rates(wins: Sequence[bool], confidence: float = 0.95) -> dict[str, Any]:
    """Wins of a process pair, and what they make of whole confirmations.

    Args:
        wins: One entry a recorded process pair.
        confidence: Of the exact (Clopper-Pearson) interval of the win rate; the rates of promotion
            are also given at its two ends.

    Returns:
        For one draft judged once; for the best of many candidates in one tune, which confirms at
        most `ATTEMPTS` finalists; and for five such tunes in a row.
    """
    low, high = clopper_pearson(sum(wins), len(wins), confidence)
    first = rule_of(1)
    questions: dict[str, Callable[[float], float]] = {
        "one draft": first.promotes,
        "best of many": lambda p: any_of([rule_of(1, k) for k in _attempts()], p),
        "five tunes in a row": lambda p: any_of(
            [rule_of(tune, k) for tune in range(1, 6) for k in _attempts()], p
        ),
    }
    return {
        "process_pairs": len(wins),
        "wins": sum(wins),
        "win_rate_interval": [low, high],
        "confidence": confidence,
        "rule": list(first.pairs),
        "proved_bound": first.alpha,
        "resampled_one_draft": resampled(wins, first),
        "promoted": {
            name: {"estimate": rate(sum(wins) / len(wins)), "interval": [rate(low), rate(high)]}
            for name, rate in questions.items()
        },
    }


def _attempts() -> range:
    return range(1, ATTEMPTS + 1)


def any_of(rules: Sequence[SequentialRule], p: float) -> float:
    """Probability that at least one of these independent confirmations promotes."""
    none = 1.0
    for rule in rules:
        none *= 1.0 - rule.promotes(p)
    return 1.0 - none


def resampled(wins: Sequence[bool], rule: SequentialRule) -> float:
    """Share of confirmations promoted when process pairs are drawn from the recorded ones."""
    rng = np.random.default_rng(0)
    drawn = rng.choice(np.asarray(wins), size=(RESAMPLES, rule.pairs[-1]))
    return float(np.mean([promotes(rule, row.tolist()) for row in drawn]))


def promotes(rule: SequentialRule, wins: Sequence[bool]) -> bool:
    """What the rule makes of these process pairs, of which it may need fewer."""
    measured = 1
    while (decision := rule.decide(wins[:measured])) is None:
        measured += 1
    return decision


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a binomial proportion, by bisection of the binomial tail."""
    half = (1 - confidence) / 2
    low = 0.0 if successes == 0 else _solve(lambda p: 1 - _cdf(successes - 1, trials, p), half)
    high = 1.0 if successes == trials else _solve(lambda p: -_cdf(successes, trials, p), -half)
    return low, high


def _solve(increasing: Callable[[float], float], value: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if increasing(middle) < value else (low, middle)
    return (low + high) / 2


def _cdf(k: int, n: int, p: float) -> float:
    """P(Binomial(n, p) <= k)."""
    if p in {0.0, 1.0}:
        return 1.0 if p == 0 or k >= n else 0.0
    # By logarithms: the binomial coefficients of thousands of trials exceed a float.
    ways = (math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(k + 1))
    terms = (math.exp(w + i * math.log(p) + (n - i) * math.log1p(-p)) for i, w in enumerate(ways))
    return min(1.0, math.fsum(terms))
