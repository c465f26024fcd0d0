"""What other targets, sizes and sibling drafts say about the points of a space.

Times of different machines do not compare, ranks do: every source is turned into scores, the log
odds of a point's rank among that source's. Between its points a source is smoothed. No source is
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
from outpace.tuner.strategies.correlation import Axis, Correlation

Array = np.ndarray[Any, Any]

SUPPORT = 512
"""Points of a source from which its other points are interpolated."""
SHARPNESS = 6.0
"""Power to which correlations are raised to become weights of an interpolation."""
TRUST, DOUBT = 0.8, 5.0
"""What all sources together are expected to be worth, and how many timings that belief weighs."""
APART = 2
"""Least number of parameters in which the first points to try of one source differ."""


@dataclass(frozen=True)
class _Source:
    """Points, best first, with their scores."""

    points: Array
    scores: Array
    known: dict[Point, float]


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
        self._tables = [table**SHARPNESS for table in Correlation.of(axes).tables()]
        grouped: dict[str, dict[Point, float]] = {}
        for record in records:
            point = _fitting(space, record)
            if point is not None:
                seconds = np.inf if record.seconds is None else record.seconds
                grouped.setdefault(record.source, {})[point] = seconds
        self._sources = [_scored(by_point) for _, by_point in sorted(grouped.items())]

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
        return np.stack([self._interpolated(points, source) for source in self._sources], axis=1)

    def _interpolated(self, points: Array, source: _Source) -> Array:
        exact = np.array([source.known.get(tuple(point), np.nan) for point in points.tolist()])
        unknown = np.isnan(exact)
        if unknown.any():
            step = max(1, len(source.points) // SUPPORT)
            weights = _products(self._tables, points[unknown], source.points[::step]) + 1e-9
            exact[unknown] = (weights @ source.scores[::step]) / weights.sum(axis=1)
        return exact


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
    ranks = np.argsort(np.argsort(seconds, kind="stable"), kind="stable")
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


def _scored(by_point: dict[Point, float]) -> _Source:
    points, seconds = np.array(list(by_point), dtype=np.int64), np.array(list(by_point.values()))
    order = np.argsort(seconds, kind="stable")
    points, scores = points[order], log_odds_of_ranks(seconds)[order]
    known = dict(zip(map(tuple, points.tolist()), scores.tolist(), strict=True))
    return _Source(points, scores, known)


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
    found = np.ones((len(points), len(others)), np.float32)
    for table, own, other in zip(tables, points.T, others.T, strict=True):
        found *= table.astype(np.float32)[own][:, other]
    return found
