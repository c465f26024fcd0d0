"""Every point, in the order of the space."""

from __future__ import annotations

from outpace.errors import UsageError
from outpace.tuner.space import Point, SearchSpace
from outpace.tuner.strategies.base import Outcome


class ExhaustiveSearch:
    """Every valid point in lexicographic order.

    Raises:
        UsageError: The space is too large to be enumerated.
    """

    def __init__(self, space: SearchSpace) -> None:
        if space.points is None:
            raise UsageError("the space is too large to try every point; choose another strategy")
        self._points = space.points
        self._next = 0
        self._seen: set[Point] = set()

    def ask(self, count: int) -> list[Point]:
        """The next `count` points; fewer at the end."""
        asked: list[Point] = []
        while len(asked) < count and self._next < len(self._points):
            point = tuple(self._points[self._next].tolist())
            self._next += 1
            if point not in self._seen:
                self._seen.add(point)
                asked.append(point)
        return asked

    def tell(self, point: Point, outcome: Outcome) -> None:
        """Not to ask for this one again."""
        del outcome
        self._seen.add(point)
