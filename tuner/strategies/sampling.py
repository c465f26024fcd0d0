"""Uniformly drawn points: what any other strategy has to be better than."""

from __future__ import annotations

import numpy as np

from outpace.tuner.space import Point, SearchSpace
from outpace.tuner.strategies.base import Outcome

DRAWS = 64
"""How often a space that is not enumerated is asked for a new point before it counts as used up."""


class RandomSearch:
    """Valid points in a random order, each once."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space = space
        self._rng = np.random.default_rng(seed)
        self._order = None if space.size is None else self._rng.permutation(space.size)
        self._next = 0
        self._seen: set[Point] = set()

    def ask(self, count: int) -> list[Point]:
        """Up to `count` points; fewer when none are left."""
        asked: list[Point] = []
        while len(asked) < count and (point := self._draw()) is not None:
            self._seen.add(point)
            asked.append(point)
        return asked

    def tell(self, point: Point, outcome: Outcome) -> None:
        """Not to ask for this one again."""
        del outcome
        self._seen.add(point)

    def _draw(self) -> Point | None:
        """A point that has not been seen."""
        if self._order is None:
            drawn = map(tuple, self._space.sample(self._rng, DRAWS).tolist())
            return next((point for point in drawn if point not in self._seen), None)
        assert self._space.points is not None
        while self._next < len(self._order):
            row = self._order[self._next]
            self._next += 1
            point = tuple(self._space.points[row].tolist())
            if point not in self._seen:
                return point
        return None
