"""The rule by which timings promote, and its error rate.

A *win* is a fresh process pair whose median ratio t_baseline / t_variant exceeds `THRESHOLD`. If
the true median ratio is at most the threshold, a win has probability at most 1/2 whatever the noise
is, and process pairs are independent; so the chance of a false promotion is a binomial tail that
does not depend on the number of timed pairs in a process, nor on their distribution.

The sequential form promotes on `unanimous` wins in a row, or on at most one loss in `total`, and
ends at the second loss. Its false-promotion probability is at most

    2**-m + m * 2**-n        (m = unanimous, n = total)

the first term for m wins at once, the second for the m places of a single loss among the first m,
each followed by wins up to n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

from outpace.model import Speedup

THRESHOLD = 1.02
"""A variant must be faster by more than this factor."""


@dataclass(frozen=True)
class SequentialRule:
    """Promote on `unanimous` wins in a row, or on one loss in `total` process pairs."""

    unanimous: int
    total: int

    @classmethod
    def for_alpha(cls, alpha: float) -> SequentialRule:
        """The shortest rule whose false-promotion probability is at most `alpha`."""
        unanimous = 1
        while 2.0**-unanimous > 0.7 * alpha:  # leave room for the second chance
            unanimous += 1
        total = unanimous + 1
        while 2.0**-unanimous + unanimous * 2.0**-total > alpha:
            total += 1
        return cls(unanimous, total)

    @property
    def alpha(self) -> float:
        """Its false-promotion probability under the null hypothesis."""
        return 2.0**-self.unanimous + self.unanimous * 2.0**-self.total

    def decide(self, wins: Sequence[bool]) -> bool | None:
        """True to promote, False to refuse, None to measure another process pair."""
        losses = len(wins) - sum(wins)
        if losses >= 2:
            return False
        if losses == 0:
            return True if len(wins) >= self.unanimous else None
        return True if len(wins) >= self.total else None


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
