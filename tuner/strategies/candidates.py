"""The points among which a strategy chooses: a small space whole, a part of a large one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from outpace.tuner.space import Point, SearchSpace

Array = np.ndarray[Any, Any]

WHOLE = 5000
"""Spaces of up to this many points are candidates as a whole."""
DRAWN = 2000
"""Candidates of a larger space that are drawn uniformly."""
MUTANTS = 200
"""Candidates that differ from a good point in two parameters drawn at random."""
REMEMBERED = 8
"""Points whose neighbours are remembered; the best ones are asked about again and again."""
UNTRIED = 2500
"""Points that are drawn to find some that were not tried."""
PATIENCE = 3
"""How often points are drawn before all of a space are looked at for one that was not tried."""


class Candidates:
    """A growing list of points without repetitions, each open until it is tried.

    Attributes:
        points: (n, P) value indices.
        open: Which may be asked for, (n,) booleans.
    """

    def __init__(self, points: Array) -> None:
        self._codes, first = np.unique(codes_of(points), return_index=True)
        self.points = points[first]
        self.open = np.ones(len(self.points), np.bool_)

    def keep(self, which: Array) -> None:
        """Forget all but these, given by their indices in the order to keep."""
        self._codes = self._codes[which]
        self.points = self.points[which]
        self.open = self.open[which]

    def close(self, points: Array) -> None:
        """These were tried, (n, P) value indices; candidates or not."""
        if len(points) == 1:
            self.open[self._codes == codes_of(points)[0]] = False
        else:
            self.open &= ~np.isin(self._codes, codes_of(points))

    def extend(self, points: Array) -> Array:
        """Add those that are new, and open; returns them."""
        codes, first = np.unique(codes_of(points), return_index=True)
        fresh = ~np.isin(codes, self._codes)
        self._codes = np.concatenate([self._codes, codes[fresh]])
        added = points[first[fresh]]
        self.points = np.concatenate([self.points, added])
        self.open = np.concatenate([self.open, np.ones(len(added), np.bool_)])
        return np.asarray(added)


def codes_of(points: Array) -> Array:
    """One number a point, (n,) uint64; the chance that two of n points share one is n^2 / 2^64.

    Args:
        points: (n, P) value indices.
    """
    factors = _odd_factors(points.shape[1])
    return np.asarray(points.astype(np.uint64) @ factors)


@cache
def _odd_factors(count: int) -> Array:
    return np.random.default_rng(0).integers(2**62, size=count, dtype=np.uint64) * 2 + 1


class Vicinity:
    """Where the candidates of a space come from.

    Args:
        space: Whose points they are.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._counts = np.array([len(p.values) for p in space.parameters])
        self._neighbours = lru_cache(REMEMBERED)(space.neighbours)

    def candidates(self, best: Sequence[Point], rng: np.random.Generator) -> Candidates:
        """What to choose from while these are the best points; depends on nothing else."""
        space = self._space
        if space.size is not None and space.size <= WHOLE:
            assert space.points is not None
            return Candidates(space.points)
        near = [self.around(best, rng)] if best else []
        return Candidates(np.concatenate([space.sample(rng, DRAWN), *near]))

    def around(self, points: Sequence[Point], rng: np.random.Generator) -> Array:
        """All valid points that differ from these in one parameter, and some that do in two.

        Args:
            points: At least one, all valid.
            rng: Draws.

        Returns:
            (n, P) value indices.
        """
        mutants = np.repeat(np.array(points), MUTANTS, axis=0)
        rows = np.arange(len(mutants))
        for _ in range(2):
            which = rng.integers(len(self._counts), size=len(rows))
            mutants[rows, which] = rng.integers(self._counts[which])
        near = np.concatenate([self._neighbours(point) for point in points])
        return np.concatenate([near, mutants[self._space.are_valid(mutants)].astype(near.dtype)])

    def untried(self, tried: Array, rng: np.random.Generator) -> Array:
        """Some valid points besides those tried, (n, P); none if the space seems used up."""
        for _ in range(PATIENCE):
            candidates = Candidates(self._space.sample(rng, UNTRIED))
            candidates.close(tried)
            if candidates.open.any():
                return np.asarray(candidates.points[candidates.open])
        known = self._space.points
        whole = Candidates(candidates.points[:0] if known is None else known)
        whole.close(tried)
        return np.asarray(whole.points[whole.open][:UNTRIED])
