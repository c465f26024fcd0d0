"""The default: a Gaussian process over the ranks of the timings says where to look next.

A few points that lie far apart come first. Then every question is the candidate with the highest
expected improvement. Timings enter as log odds of their ranks, so that neither a configuration
that is a hundred times too slow nor the unit of time bends the model; points that failed share
the worst ranks. How alike points are is learned (`correlation`), and drawn anew every time the
number of timings has grown by a fifth. Points that are being tried count as if they had turned
out as expected, so that several can be asked for at once.

Everything follows from the seed and from what was told, in the order in which it was told: after
a restart the journal's outcomes are told again and the search goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

import numpy as np

from outpace.model import Parameter
from outpace.tuner.space import Point, SearchSpace
from outpace.tuner.strategies.base import Measured, Outcome, Record
from outpace.tuner.strategies.borrowed import Borrowed, log_odds_of_ranks, weights_of
from outpace.tuner.strategies.candidates import Vicinity
from outpace.tuner.strategies.correlation import Axis, Correlation, embedding
from outpace.tuner.strategies.outlook import Outlook

Array = np.ndarray[Any, Any]

SPREAD_OUT = 12
BORROWED = 5
"""Points of other targets' records that are tried before there is a model."""
GROWTH = 1.2
"""The correlation is drawn anew when the timings have become more by this factor."""
ELITE = 3
"""The best points whose neighbours are candidates."""
FARTHEST_OF = 64
"""Drawn points of which the farthest from all others is tried while there is no model."""


class SurrogateSearch:
    """Expected improvement under a learned Gaussian process.

    Args:
        space: Where to search.
        seed: Of all draws.
        warm: What is known from elsewhere.
        spread_out: Points that are tried before there is a model.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        warm: Sequence[Record] = (),
        *,
        spread_out: int = SPREAD_OUT,
    ) -> None:
        self._space = space
        self._vicinity = Vicinity(space)
        self._corners = [_corners(parameter) for parameter in space.parameters]
        self._seed = seed
        self._correlation = Correlation.of(tuple(Axis(p) for p in space.parameters))
        borrowed = Borrowed(space, self._correlation.axes, warm)
        self._borrowed = borrowed if len(borrowed) else None
        self._first = borrowed.first(space, BORROWED)
        self._asked: list[Point] = []
        self._told: list[Point] = []
        self._seconds: list[float] = []
        """Of every point that was told; infinite where it failed."""
        self._known: set[Point] = set()
        """The points that were told."""
        self._best = inf
        """Least of the seconds that the model knows."""
        self._digested = 0
        """How many of the told points the model knows."""
        self._next_draw = max(2, len(self._first)) if self._first else spread_out
        self._outlook: Outlook | None = None

    def ask(self, count: int) -> list[Point]:
        """Up to `count` points; fewer when the space is used up."""
        self._catch_up()
        asked: list[Point] = []
        while len(asked) < count and (point := self._choose()) is not None:
            self._asked.append(point)
            asked.append(point)
        return asked

    def tell(self, point: Point, outcome: Outcome) -> None:
        """What came of a point; the first word counts where it is told twice."""
        if point not in self._known:
            self._known.add(point)
            self._told.append(point)
            self._seconds.append(outcome.seconds if isinstance(outcome, Measured) else inf)

    # --- taking in what was told --------------------------------------------------------------

    def _catch_up(self) -> None:
        """Take in outcomes one by one, so that it does not matter how many came at once."""
        while self._digested < len(self._told):
            point, seconds = self._told[self._digested], self._seconds[self._digested]
            is_best = seconds < self._best
            self._best = min(self._best, seconds)
            self._digested += 1
            if self._outlook is not None:
                self._outlook.tell(point)
            if self._digested == self._next_draw:
                self._renew()
            elif self._outlook is not None and is_best:
                self._outlook.extend(self._vicinity.around([point], self._rng(self._digested)))

    def _renew(self) -> None:
        """Learn the correlation again, and make a model that follows it."""
        told = self._told[: self._digested]
        seconds = self._seconds[: self._digested]
        points, targets = np.array(told), log_odds_of_ranks(np.array(seconds))
        rng, unexplained = self._rng(self._digested), targets
        if self._borrowed is not None:
            scores = self._borrowed.scores(points)
            unexplained = targets - scores @ weights_of(scores, targets)
        self._correlation = self._correlation.redrawn(points, unexplained, rng)
        best = np.argsort(seconds, kind="stable")[:ELITE]
        elite = [told[place] for place in best if seconds[place] < inf]
        candidates = self._vicinity.candidates(elite, rng)
        known = set(told)
        pending = [point for point in self._asked if point not in known]
        self._outlook = Outlook(self._correlation, candidates, told, pending, self._borrowed)
        self._outlook.narrow(targets)
        self._next_draw = max(self._digested + 1, int(self._digested * GROWTH))

    def _rng(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *purpose])

    # --- choosing -----------------------------------------------------------------------------

    def _choose(self) -> Point | None:
        """The next point to try, if any is left."""
        if self._outlook is None:
            return self._spread_out()
        if not self._outlook.is_open:
            self._outlook.extend(self._untried())
        if not self._outlook.is_open:
            return None
        return self._outlook.choose(log_odds_of_ranks(np.array(self._seconds)))

    def _spread_out(self) -> Point | None:
        """A borrowed point, or else the drawn one that is farthest from all that were tried."""
        tried = dict.fromkeys([*self._told, *self._asked])
        waiting = next((point for point in self._first if point not in tried), None)
        if waiting is not None:
            return waiting
        rng = self._rng(0, len(tried))
        points = self._vicinity.untried(self._as_array(tried), rng)
        if not len(points) or not tried:
            return _point(points[rng.integers(len(points))]) if len(points) else None
        drawn = points[rng.integers(len(points), size=FARTHEST_OF)]
        gaps = np.abs(self._places(drawn)[:, None] - self._places(self._as_array(tried))[None])
        return _point(drawn[gaps.sum(axis=2).min(axis=1).argmax()])

    def _untried(self) -> Array:
        tried = dict.fromkeys([*self._told, *self._asked])
        rng = self._rng(len(tried), len(tried))
        return self._vicinity.untried(self._as_array(tried), rng)

    def _as_array(self, points: Iterable[Point]) -> Array:
        return np.array(list(points), dtype=np.int64).reshape(-1, len(self._space.parameters))

    def _places(self, points: Array) -> Array:
        """Points in the unit cube, (n, dimensions)."""
        corners = [c[own] for c, own in zip(self._corners, points.T, strict=True)]
        return np.concatenate(corners, axis=1)


def _corners(parameter: Parameter) -> Array:
    """Where values lie in the cube, (values, d): in a corner each where they have no order."""
    places = embedding(parameter)
    return np.eye(len(parameter.values)) / 2 if places is None else places[:, None]


def _point(row: Array) -> Point:
    return tuple(row.tolist())
