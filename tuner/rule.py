"""The rule by which timings promote, and its error rate.

A *win* is a fresh process pair whose median ratio t_baseline / t_variant exceeds `THRESHOLD`. If
the true median ratio is at most the threshold, a win has probability at most 1/2 whatever the noise
is, and process pairs are independent; so the chance of a false promotion is a binomial tail that
does not depend on the number of timed pairs in a process, nor on their distribution.

The sequential form forgives losses, but asks for more pairs with each: it promotes when `pairs[k]`
process pairs have been measured and at most k of them were lost. It gives up when no more losses
can be forgiven, or when a second loss leaves no more wins than losses. Its false-promotion
probability is that of a random walk with p = 1/2 to its boundaries, summed exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

from outpace.model import Speedup

THRESHOLD = 1.02
"""A variant must be faster by more than this factor."""


FORGIVEN = 7
"""Losses that a sequential rule forgives at most."""
FIRST_SHARE = 0.7
"""Of the error probability, for promotions without a loss; the rest is for forgiven losses."""


@dataclass(frozen=True)
class SequentialRule:
    """Promote as soon as at most k of the first `pairs[k]` process pairs were lost.

    Attributes:
        pairs: Increasing; one entry for each number of forgiven losses, beginning with none.
    """

    pairs: tuple[int, ...]

    @classmethod
    def for_alpha(cls, alpha: float) -> SequentialRule:
        """A short rule whose false-promotion probability is at most `alpha`.

        Each boundary is the lowest that keeps within the share of `alpha` spent so far: by
        `FIRST_SHARE` for none lost, and in equal steps to the whole for `FORGIVEN`.
        """
        rule = cls(())
        for losses in range(FORGIVEN + 1):
            share = FIRST_SHARE + (1 - FIRST_SHARE) * losses / FORGIVEN
            pairs = rule.pairs[-1] + 1 if rule.pairs else 1
            while cls((*rule.pairs, pairs)).alpha > share * alpha:
                pairs += 1
            rule = cls((*rule.pairs, pairs))
        return rule

    @property
    def alpha(self) -> float:
        """Its false-promotion probability under the null hypothesis."""
        return self.promotes(0.5)

    def promotes(self, p: float) -> float:
        """Probability of promotion where each process pair is a win with probability `p`."""
        promoted = 0.0
        undecided = {0: 1.0}  # by losses so far
        for measured in range(1, self.pairs[-1] + 1):
            reached: dict[int, float] = {}
            for losses, probability in undecided.items():
                reached[losses] = reached.get(losses, 0.0) + probability * p
                reached[losses + 1] = reached.get(losses + 1, 0.0) + probability * (1 - p)
            undecided = {}
            for losses, probability in reached.items():
                decision = self._decide(measured, losses)
                if decision is None:
                    undecided[losses] = probability
                elif decision:
                    promoted += probability
        return promoted

    def decide(self, wins: Sequence[bool]) -> bool | None:
        """True to promote, False to refuse, None to measure another process pair."""
        return self._decide(len(wins), len(wins) - sum(wins))

    def needed(self, wins: Sequence[bool]) -> int:
        """Process pairs after which it promotes, if no more are lost; all where it gives up."""
        losses = len(wins) - sum(wins)
        return self.pairs[min(losses, len(self.pairs) - 1)]

    def _decide(self, measured: int, losses: int) -> bool | None:
        if losses >= len(self.pairs) or (losses >= 2 and measured <= 2 * losses):
            return False
        return True if measured >= self.pairs[losses] else None


def speedup_of(ratios: Sequence[float], confidence: float = 0.95) -> Speedup:
    """Median of process-pair ratios with its distribution-free interval.

    The interval is that of order statistics: [r(k+1), r(n-k)] covers the median with probability
    1 - 2 P(Binomial(n, 1/2) <= k). With few process pairs it is the whole range.
    """
    ordered = sorted(ratios)
    n = len(ordered)
    k = 0
    while k + 1 < n / 2 and 1 - 2 * _tail(n, k + 1) >= confidence:
        k += 1
    return Speedup(median(ordered), ordered[k], ordered[n - 1 - k], confidence)


def _tail(n: int, k: int) -> float:
    """P(Binomial(n, 1/2) <= k)."""
    return float(sum(comb(n, i) for i in range(k + 1))) / 2.0**n
