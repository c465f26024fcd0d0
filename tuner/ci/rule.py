"""When a change is called slower, and when nothing can be said: decisions on ratios alone.

In a fresh process pair three ratios are measured against the base: of the head, of the base a
second time, and of the base with a tenth of its own time added to each call. The last two are
controls. A ratio *shows slower* if it is above `REGRESSION` and nothing disturbed the process pair,
so that a busy machine fails the last control. A round asks the sequential rule of
`outpace.tuner.rule` of each: the head may be slower or not, the second base must not be, and the
slowed base must be, else the round is void.

A change is red if two rounds find it slower, and green as soon as a round that is not void does
not. There are at most `ROUNDS`; void ones count. Where the true ratio is at most `REGRESSION`, a
round finds it slower with probability at most alpha whatever the noise is, so two of three do with
at most 3 alpha^2; alpha is such that this, over all workloads of a change, is at most `FALSE_RED`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import comb, sqrt

from outpace.tuner.rule import SequentialRule

REGRESSION = 1.05
"""A head is slower if it takes more than this times what the base takes."""
INJECTED = 1.10
"""What the slowed base takes; a machine on which that is not seen can say nothing."""
ROUNDS = 3
"""Rounds at one workload, the void ones included."""
AGREEING = 2
"""Rounds that must find the head slower."""
FALSE_RED = 0.01
"""Probability of a false red for all workloads of a change together."""


class Colour(StrEnum):
    """What is said of a change."""

    GREEN = "green"
    RED = "red"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class PairRatios:
    """What one process pair measured at one workload, each over the time of the base.

    Attributes:
        head: Of the head.
        again: Of the base in a process of its own.
        slowed: Of the base with a tenth of its time added.
        disturbed: What disturbed the machine meanwhile, or None.
    """

    head: float
    again: float
    slowed: float
    disturbed: str | None = None


@dataclass(frozen=True)
class Round:
    """How a round ended.

    Attributes:
        slower: Whether the head was found slower; means nothing in a void round.
        void: Which control failed, one sentence for a person, or None.
        pairs: What was measured.
    """

    slower: bool
    void: str | None
    pairs: tuple[PairRatios, ...]


def rule_for(workloads: int) -> SequentialRule:
    """The rule of every round where so many workloads are timed."""
    return SequentialRule.for_alpha(sqrt(FALSE_RED / (workloads * comb(ROUNDS, AGREEING))))


def ended(rule: SequentialRule, pairs: Sequence[PairRatios]) -> Round | None:
    """How a round ends with these process pairs; None to measure another."""
    slower = rule.decide([_shows_slower(p.head, p) for p in pairs])
    again = rule.decide([_shows_slower(p.again, p) for p in pairs])
    slowed = rule.decide([_shows_slower(p.slowed, p) for p in pairs])
    measured = tuple(pairs)
    if slowed is False:
        return Round(slower is True, f"a slow-down of 10% was not seen{_blame(pairs)}", measured)
    if again:
        return Round(slower is True, f"the base was slower than itself{_blame(pairs)}", measured)
    if slower is None or again is None or slowed is None:
        return None
    return Round(slower, None, measured)


def colour_of(rounds: Sequence[Round]) -> Colour | None:
    """What the rounds say together; None to begin another."""
    valid = [r for r in rounds if r.void is None]
    if not all(r.slower for r in valid):
        return Colour.GREEN
    if len(valid) >= AGREEING:
        return Colour.RED
    return Colour.INCONCLUSIVE if len(rounds) >= ROUNDS else None


def shown_slower(done: Round) -> int:
    """In how many process pairs of a round the head was slower."""
    return sum(_shows_slower(p.head, p) for p in done.pairs)


def _shows_slower(ratio: float, pair: PairRatios) -> bool:
    return pair.disturbed is None and ratio > REGRESSION


def _blame(pairs: Sequence[PairRatios]) -> str:
    disturbed = [p.disturbed for p in pairs if p.disturbed is not None]
    if not disturbed:
        return ""
    share = f"{len(disturbed)} of {len(pairs)} process pairs"
    return f"; the machine was too busy in {share} ({disturbed[-1]})"
