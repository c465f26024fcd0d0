"""Where a series of measurements changed its level.

Each test takes the largest over all places t of |U_t| / sqrt(t (n - t)), where U_t compares the t
values before with the n - t values after as Mann and Whitney do: a maximally selected rank
statistic (B. Lausen and M. Schumacher, "Maximally selected rank statistics", Biometrics 48, 1992).
The divisor, the spread of U_t but for a factor, lets a change near the end, the one that matters
most, be found too. It looks at ranks alone, so that one slow run shifts nothing. Its p-value comes
from random permutations (B. Phipson and G. K. Smyth, "Permutation p-values should never be zero",
Stat. Appl. Genet. Mol. Biol. 9, 2010) and is valid for any distribution.

Binary segmentation (L. Yu. Vostrikova, "Detecting disorder in multidimensional random processes",
1981) finds several changes: where a series is cut, both parts are tested in the same way. A part is
looked at only after the whole was found to change, so in a series that never changes any change is
reported with probability at most alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

ALPHA = 0.01
"""Probability of reporting any change in a series without one."""
SHORTEST = 10
"""Values below which no split can be that improbable: 2 / binomial(9, 4) is above `ALPHA`."""
_PERMUTATIONS = 1999
_AT_ONCE = 2_000_000
"""Numbers of permuted ranks that are held in memory together."""

_Ranks = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Change:
    """A place at which a series changed.

    Attributes:
        index: Of the first value after it.
        p_value: Of the test that found it.
        before: Median of the values since the change before this one.
        after: Median of the values until the next change.
    """

    index: int
    p_value: float
    before: float
    after: float


def change_points(values: Sequence[float], alpha: float = ALPHA) -> tuple[Change, ...]:
    """The places at which a series changed its level, in order.

    Equal series give equal answers: the permutations are drawn from a fixed seed.

    Args:
        values: Finite numbers in order of time; without a change any order is equally likely.
        alpha: Probability, in (0, 1), of reporting any change where there is none.

    Raises:
        ValueError: A value is not finite.
    """
    series = np.asarray(values, dtype=np.float64)
    if not np.isfinite(series).all():
        raise ValueError("change points need finite values; leave out what was not measured")
    cuts = dict(_cuts(series, 0, alpha, np.random.default_rng(0)))
    places = sorted(cuts)
    edges = [0, *places, len(series)]
    levels = [median(series[a:b].tolist()) for a, b in pairwise(edges) if b > a]
    return tuple(
        Change(place, cuts[place], levels[i], levels[i + 1]) for i, place in enumerate(places)
    )


def _cuts(
    series: _Ranks, start: int, alpha: float, rng: np.random.Generator
) -> list[tuple[int, float]]:
    """Places, counted from the start of the whole series, with their p-values."""
    if len(series) < SHORTEST:
        return []
    place, p_value = _tested(series, rng)
    if p_value > alpha:
        return []
    before = _cuts(series[:place], start, alpha, rng)
    after = _cuts(series[place:], start + place, alpha, rng)
    return [*before, (start + place, p_value), *after]


def _tested(series: _Ranks, rng: np.random.Generator) -> tuple[int, float]:
    """The most likely place of a change and the probability of as clear a one by chance."""
    ranks = mid_ranks(series)
    found = scores(ranks)
    largest = found.max()
    as_large, left = 0, _PERMUTATIONS
    while left:
        rows = min(left, max(1, _AT_ONCE // len(ranks)))
        shuffled = rng.permuted(np.tile(ranks, (rows, 1)), axis=1)
        as_large += int((scores(shuffled).max(axis=1) >= largest).sum())
        left -= rows
    return int(found.argmax()) + 1, (1 + as_large) / (1 + _PERMUTATIONS)


def mid_ranks(series: _Ranks) -> _Ranks:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(series, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: _Ranks = (last - (counts - 1) / 2)[place]
    return shared


def scores(ranks: _Ranks) -> _Ranks:
    """|U_t| / sqrt(t (n - t)) for t = 1 ... n - 1 along the last axis."""
    count = ranks.shape[-1]
    t = np.arange(1, count)
    # U_t, the pairs that fall less those that rise, from the sum of the first t ranks.
    u = 2 * np.cumsum(ranks, axis=-1)[..., :-1] - t * (count + 1)
    scaled: _Ranks = np.abs(u) / np.sqrt(t * (count - t))
    return scaled
