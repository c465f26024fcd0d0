"""The candidates with what is expected of each, and the choice among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from math import erfc, exp, log, pi, sqrt
from typing import Any

import numpy as np

from outpace.tuner.space import Point
from outpace.tuner.strategies.borrowed import Borrowed, weights_of
from outpace.tuner.strategies.candidates import Candidates
from outpace.tuner.strategies.correlation import Correlation
from outpace.tuner.strategies.posterior import Posterior

Array = np.ndarray[Any, Any]

STEEPEST = -30.0
"""Improvements that are less likely than by this many deviations are all alike."""
FINENESS = 128
"""Places a deviation at which the improvement is tabulated."""


class Outlook:
    """A posterior over candidates that follows what is tried.

    Args:
        correlation: Of points.
        candidates: To choose from.
        tried: Points that were asked for or told; they are not candidates any more.
        borrowed: What is known from elsewhere, or None.
    """

    def __init__(
        self,
        correlation: Correlation,
        candidates: Candidates,
        tried: Sequence[Point],
        borrowed: Borrowed | None,
    ) -> None:
        self._candidates = candidates
        self._tried = dict.fromkeys(tried)
        self._believed: dict[Point, float] = {}
        self._borrowed = borrowed
        points = np.array(tried)
        candidates.close(points)
        self._posterior = Posterior(
            correlation.tables(), correlation.noise_variance, candidates.points, points
        )
        if borrowed is not None:
            self._known_scores = borrowed.scores(points)
            self._scores = borrowed.scores(candidates.points)

    @property
    def is_open(self) -> bool:
        """Whether there is a candidate to choose."""
        return bool(self._candidates.open.any())

    def add(self, point: Point) -> None:
        """A point is tried or was; nothing happens if that is known."""
        if point in self._tried:
            return
        self._tried[point] = None
        row = np.array(point)
        self._candidates.close(row[None])
        self._posterior.add(row)
        if self._borrowed is not None:
            scores = self._borrowed.scores(row[None])
            self._known_scores = np.concatenate([self._known_scores, scores])

    def extend(self, points: Array) -> None:
        """More candidates, (n, P) value indices; those that are known already are left out."""
        added = self._candidates.extend(points)
        self._candidates.close(np.array(list(self._tried)))
        self._posterior.extend(added)
        if self._borrowed is not None and len(added):
            self._scores = np.concatenate([self._scores, self._borrowed.scores(added)])

    def choose(self, targets: Mapping[Point, float]) -> Point:
        """The open candidate with the highest expected improvement, which counts as tried.

        Args:
            targets: Scores of the points whose outcome is known, the smaller the better. The
                others count as if they had turned out as expected when they were chosen.
        """
        known = np.array([targets.get(p, self._believed.get(p, 0.0)) for p in self._tried])
        shift: Array | float = 0.0
        if self._borrowed is not None:
            weights = weights_of(self._known_scores, known)
            known, shift = known - self._known_scores @ weights, self._scores @ weights
        means, deviations = self._posterior.predict(known)
        means = means + shift
        gains = log_expected_improvement(min(targets.values()), means, deviations)
        which = int(np.argmax(np.where(self._candidates.open, gains, -np.inf)))
        point: Point = tuple(self._candidates.points[which].tolist())
        self._believed[point] = float(means[which])
        self.add(point)
        return point


def log_expected_improvement(best: float, means: Array, deviations: Array) -> Array:
    """Logarithm of the expected improvement over `best`, (n,).

    With u = (best - mean) / deviation it is log(deviation) + log(u Phi(u) + phi(u)); Jones,
    Schonlau and Welch, Journal of Global Optimization 13 (1998), equation 15.
    """
    u = np.clip((best - means) / deviations, STEEPEST, -STEEPEST)
    places = ((u - STEEPEST) * FINENESS).astype(np.intp)
    return np.asarray(np.log(deviations) + _improvement_table().take(places))


@cache
def _improvement_table() -> Array:
    count = int(-2 * STEEPEST * FINENESS) + 1
    return np.array([_log_improvement(STEEPEST + i / FINENESS) for i in range(count)])


def _log_improvement(u: float) -> float:
    density = exp(-0.5 * u * u) / sqrt(2 * pi)
    if u > -6:
        return log(u * 0.5 * erfc(-u / sqrt(2)) + density)
    # Beyond that the two terms cancel; their difference is phi(u) / u^2 (1 - 3 / u^2 + ...).
    return -0.5 * u * u - 0.5 * log(2 * pi) - log(u * u + 3)
