"""The candidates with what is expected of each, and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
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

PROMISING = 800
"""Candidates that are kept when the model has looked at all."""
STEEPEST = -30.0
"""Improvements that are less likely than by this many deviations are all alike."""
CLOSE = 6.0
"""Deviations beyond which an expansion stands for the improvement."""
FINENESS = 128
"""Places a deviation at which the improvement is tabulated."""


class Outlook:
    """A posterior over candidates that follows what is tried.

    Args:
        correlation: Of points.
        candidates: To choose from.
        told: Points whose outcome is known, in the order in which it was told.
        pending: Points that were asked for besides; neither they nor those told are candidates.
        borrowed: What is known from elsewhere, or None.
    """

    def __init__(
        self,
        correlation: Correlation,
        candidates: Candidates,
        told: Sequence[Point],
        pending: Sequence[Point],
        borrowed: Borrowed | None,
    ) -> None:
        tried = [*told, *pending]
        self._tried = {point: place for place, point in enumerate(tried)}
        self._told = list(range(len(told)))
        """Places among those tried of the points that were told."""
        self._believed = [0.0] * len(tried)
        """What each tried point was expected to score."""
        self._candidates = candidates
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

    def tell(self, point: Point) -> None:
        """The outcome of a point is known from now on, whether it was chosen here or not."""
        if point not in self._tried:
            self._candidates.close(np.array([point]))
            self._try(point, 0.0)
        self._told.append(self._tried[point])

    def extend(self, points: Array) -> None:
        """More candidates, (n, P) value indices; those that are known already are left out."""
        added = self._candidates.extend(points)
        self._candidates.close(np.array(list(self._tried)))
        self._posterior.extend(added)
        if self._borrowed is not None and len(added):
            self._scores = np.concatenate([self._scores, self._borrowed.scores(added)])

    def narrow(self, scores: Array) -> None:
        """Keep the most promising candidates alone if there are many; scores as for `choose`."""
        if len(self._candidates.points) <= PROMISING:
            return
        gains, _ = self._gains(scores)
        kept = np.argpartition(gains, -PROMISING)[-PROMISING:]
        self._candidates.keep(kept)
        self._posterior.keep(kept)
        if self._borrowed is not None:
            self._scores = self._scores[kept]

    def choose(self, scores: Array) -> Point:
        """The open candidate with the highest expected improvement, which counts as tried.

        Args:
            scores: Of the points that were told, in that order, the smaller the better. Others
                that were tried count as if they had turned out as expected when they were chosen.
        """
        gains, means = self._gains(scores)
        which = int(gains.argmax())
        point: Point = tuple(self._candidates.points[which].tolist())
        self._candidates.open[which] = False
        self._try(point, float(means[which]))
        return point

    def _try(self, point: Point, believed: float) -> None:
        self._tried[point] = len(self._tried)
        self._believed.append(believed)
        row = np.array(point)
        self._posterior.add(row)
        if self._borrowed is not None:
            scores = self._borrowed.scores(row[None])
            self._known_scores = np.concatenate([self._known_scores, scores])

    def _gains(self, scores: Array) -> tuple[Array, Array]:
        """Log expected improvement of every candidate, none where it is closed, and its mean."""
        known = np.array(self._believed)
        known[self._told] = scores
        shift: Array | float = 0.0
        if self._borrowed is not None:
            weights = weights_of(self._known_scores, known)
            known, shift = known - self._known_scores @ weights, self._scores @ weights
        means, deviations = self._posterior.predict(known)
        means = means + shift
        gains = log_expected_improvement(scores.min(), means, deviations)
        gains[~self._candidates.open] = -np.inf
        return gains, means


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
    """Log of u Phi(u) + phi(u) for u from `STEEPEST` to its opposite, `FINENESS` a deviation."""
    u = np.linspace(STEEPEST, -STEEPEST, int(-2 * STEEPEST * FINENESS) + 1)
    logs = np.log(np.maximum(u, 1.0))  # what it tends to
    # Far below zero the two terms cancel; their difference is phi(u) / u^2 (1 - 3 / u^2 + ...).
    low, middle = u <= -CLOSE, np.abs(u) < CLOSE
    logs[low] = -0.5 * u[low] ** 2 - 0.5 * log(2 * pi) - np.log(u[low] ** 2 + 3)
    logs[middle] = [_log_improvement(place) for place in u[middle].tolist()]
    return logs


def _log_improvement(u: float) -> float:
    return log(u * 0.5 * erfc(-u / sqrt(2)) + exp(-0.5 * u * u) / sqrt(2 * pi))
