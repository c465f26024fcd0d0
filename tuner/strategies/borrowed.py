"""What other targets, sizes and sibling drafts say about the points of a space.

Times of different machines do not compare, ranks do: every source is turned into scores, the log
odds of a point's rank among that source's. Between its points a Gaussian process interpolates, with
a correlation learned from that source. No source is
trusted alone: the best points of all take turns, and how much each source's scores count is
regressed on the timings that come in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from outpace.errors import UsageError
from outpace.tuner.space import Point, SearchSpace
from outpace.tuner.strategies.base import Record
from outpace.tuner.strategies.candidates import codes_of
from outpace.tuner.strategies.correlation import Axis, Correlation

Array = np.ndarray[Any, Any]

SUPPORT = 256
"""Points of a source from which its other points are interpolated, half of them the best."""
SMOOTHING = 1e-2
"""Variance of a source's noise, relative to all its variance."""
SWEEPS = 4
"""How often a source's correlation is redrawn."""
TRUST, DOUBT = 0.8, 5.0
"""What all sources together are expected to be worth, and how many timings that belief weighs."""
APART = 2
"""Least number of parameters in which the first points to try of one source differ."""


@dataclass(frozen=True)
class _Source:
    """Points, best first, with their scores, and what interpolates between them."""

    points: Array
    scores: Array
    codes: Array
    """Of the points, ascending."""
    order: Array
    """Which point has each code."""
    tables: list[Array]
    support: Array
    pulls: Array
    """How much each point of the support adds where the correlation with it is one."""

    @classmethod
    def of(cls, by_point: dict[Point, float], axes: tuple[Axis, ...]) -> _Source:
        """Learn from times by point."""
        points = np.array(list(by_point), dtype=np.int64)
        seconds = np.array(list(by_point.values()))
        order = np.argsort(seconds, kind="stable")
        points, scores = points[order], log_odds_of_ranks(seconds)[order]
        codes = codes_of(points)
        by_code = np.argsort(codes)
        rng = np.random.default_rng(len(points))
        correlation = Correlation.of(axes)
        for _ in range(SWEEPS):
            correlation = correlation.redrawn(points, scores, rng)
        tables = correlation.tables()
        best, others = np.split(np.arange(len(points)), [SUPPORT // 2])
        few = rng.permutation(others)[: SUPPORT // 2]
        chosen = np.concatenate([best, few])
        support = points[chosen]
        matrix = _products(tables, support, support) + SMOOTHING * np.eye(len(support))
        pulls = np.linalg.solve(matrix, scores[chosen])
        return cls(points, scores, codes[by_code], by_code, tables, support, pulls)

    def at(self, points: Array) -> Array:
        """Scores of any points, (n, P) value indices: the known ones as they are."""
        sought = codes_of(points)
        places = np.minimum(np.searchsorted(self.codes, sought), len(self.codes) - 1)
        found = self.scores[self.order[places]]
        unknown = self.codes[places] != sought
        if unknown.any():
            across = _products(self.tables, points[unknown], self.support)
            found[unknown] = np.einsum("ij,j->i", across, self.pulls)  # a BLAS would start threads
        return found


class Borrowed:
    """Scores of points by the records of several sources; smaller is better.

    Args:
        space: Records that do not fit its parameters are left out.
        axes: Of its parameters.
        records: In any order.
    """

    def __init__(
        self, space: SearchSpace, axes: tuple[Axis, ...], records: Sequence[Record]
    ) -> None:
        grouped: dict[str, dict[Point, float]] = {}
        for record in records:
            point = _fitting(space, record)
            if point is not None:
                seconds = np.inf if record.seconds is None else record.seconds
                grouped.setdefault(record.source, {})[point] = seconds
        self._sources = [_Source.of(by_point, axes) for _, by_point in sorted(grouped.items())]

    def __len__(self) -> int:
        return len(self._sources)

    def first(self, space: SearchSpace, count: int) -> list[Point]:
        """Up to `count` valid points that did well elsewhere, the sources taking turns."""
        ranked = [_diverse(source.points, count) for source in self._sources]
        turns = [point for turn in zip_longest(*ranked) for point in turn if point is not None]
        chosen = [point for point in dict.fromkeys(turns) if space.is_valid(point)]
        return chosen[:count]

    def scores(self, points: Array) -> Array:
        """What every source says, (n, sources) float64.

        Args:
            points: (n, P) value indices.
        """
        return np.stack([source.at(points) for source in self._sources], axis=1)


def weights_of(scores: Array, targets: Array) -> Array:
    """How much each source counts, (sources,): ridge regression towards `TRUST`.

    Args:
        scores: (m, sources) of the points that were tried here.
        targets: (m,) of the same.
    """
    count = scores.shape[1]
    centred = scores - scores.mean(axis=0)
    left = centred.T @ centred + DOUBT * np.eye(count)
    right = centred.T @ (targets - targets.mean()) + DOUBT * TRUST / count
    return np.asarray(np.linalg.solve(left, right))


def log_odds_of_ranks(seconds: Array) -> Array:
    """Scores of some timings, (n,): log odds of their ranks; infinite ones share their mean."""
    ranks = np.empty(len(seconds))
    ranks[np.argsort(seconds, kind="stable")] = np.arange(len(seconds))
    share = (ranks + 0.5) / len(seconds)
    scores = np.log(share / (1 - share)) / 1.7  # as wide as a standard normal
    failed = np.isinf(seconds)
    if failed.any():
        scores[failed] = scores[failed].mean()
    return np.asarray(scores)


def _fitting(space: SearchSpace, record: Record) -> Point | None:
    try:
        return space.point_of(record.params)
    except UsageError:
        return None


def _diverse(points: Array, count: int) -> list[Point]:
    """The best of a source's points that differ from each other."""
    chosen: list[Array] = []
    for point in points[: 40 * count]:
        if all((point != other).sum() >= APART for other in chosen):
            chosen.append(point)
        if len(chosen) == count:
            break
    return [tuple(point.tolist()) for point in chosen]


def _products(tables: list[Array], points: Array, others: Array) -> Array:
    found = np.ones((len(points), len(others)))
    for table, own, other in zip(tables, points.T, others.T, strict=True):
        found *= table[own[:, None], other[None, :]]
    return found
