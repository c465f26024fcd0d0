"""How alike two points are expected to perform: a product over parameters, learned from timings.

For two values of one parameter with distance d the correlation is

    (1 - w) + w exp(-d / l) (1 - g [exactly one of them is a power of two])

with the parameter's relevance w, its reach l, and g for how much it matters whether a size is a
power of two: tiles that do not divide a problem, or break alignment, behave unlike their numerical
neighbours. The product over parameters expands into main effects and interactions of every order,
the higher ones weighted less (an ANOVA kernel).

A `Setting` picks one of the values below for each. Settings are drawn from their posterior (Gibbs
sampling of a Gaussian process's marginal likelihood), not maximised: with few timings the best
one is overconfident, and the drawn ones take turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from outpace.model import Parameter

Array = np.ndarray[Any, Any]

RELEVANCES = (0.05, 0.15, 0.3, 0.5, 0.7, 0.9)
REACHES = (0.1, 0.3, 1.0, 3.0)
"""In units of the distance between a parameter's smallest and largest value."""
GAPS = (0.0, 0.5, 0.9)
NOISES = (1e-4, 1e-3, 1e-2)
"""Variance of what the parameters do not explain, relative to all variance."""
USUAL_RELEVANCE, SPREAD_OF_RELEVANCE = 0.4, 0.55
LOG_PRIORS = -0.5 * ((np.array(RELEVANCES) - USUAL_RELEVANCE) / SPREAD_OF_RELEVANCE) ** 2
"""Of the relevances."""
FITTED = 48
"""Settings are fitted to this many timings at most; half of them the best."""
BORDER = 1e12
"""Larger than any squared length of the targets that a matrix is bordered with."""


@dataclass(frozen=True)
class Setting:
    """Indices into `RELEVANCES`, `REACHES` and `GAPS` for one parameter."""

    relevance: int = 2
    reach: int = 0
    gap: int = 0


class Axis:
    """The correlation between the values of one parameter under every setting.

    Args:
        parameter: Its values may be numbers, strings or booleans.
    """

    def __init__(self, parameter: Parameter) -> None:
        distance, apart = _distances(parameter)
        self.others = [
            (reach, gap)
            for reach in range(len(REACHES) if np.unique(distance).size > 2 else 1)
            for gap in range(len(GAPS) if apart.any() else 1)
        ]
        """The reaches and gaps that make a difference."""
        self._tables = {
            (reach, gap): np.exp(-distance / REACHES[reach]) * (1 - GAPS[gap] * apart)
            for reach, gap in self.others
        }
        reaches, gaps = zip(*self.others, strict=True)
        self.start = Setting(reach=min(1, max(reaches)), gap=min(1, max(gaps)))
        """What is assumed before anything is known."""

    def table(self, setting: Setting) -> Array:
        """Correlation of every value with every other, (values, values) float64."""
        w = RELEVANCES[setting.relevance]
        return np.asarray((1 - w) + w * self._tables[setting.reach, setting.gap])

    def options(
        self, now: Setting, values: Array, rng: np.random.Generator
    ) -> tuple[list[Setting], Array]:
        """Every relevance, with the present reach and gap and with others drawn at random.

        Args:
            now: The present setting.
            values: Value indices of some points, (m,).
            rng: Draws.

        Returns:
            The settings, and the correlation of the points under each, (settings, m, m).
        """
        pairs = [(now.reach, now.gap)]
        others = [pair for pair in self.others if pair != pairs[0]]
        if others:
            pairs.append(others[rng.integers(len(others))])
        near = np.array([self._tables[pair][values].take(values, axis=1) for pair in pairs])
        relevances = np.array(RELEVANCES)[:, None, None]
        choices = relevances * near[:, None]
        choices += 1 - relevances
        settings = [Setting(w, *pair) for pair in pairs for w in range(len(RELEVANCES))]
        return settings, choices.reshape(len(settings), len(values), len(values))


@dataclass(frozen=True)
class Correlation:
    """The correlation of points: one setting a parameter, and the noise."""

    axes: tuple[Axis, ...]
    settings: tuple[Setting, ...]
    noise: int = 1

    @classmethod
    def of(cls, axes: tuple[Axis, ...]) -> Correlation:
        """What is assumed before anything is known."""
        return cls(axes, tuple(axis.start for axis in axes))

    @property
    def noise_variance(self) -> float:
        """Relative to all variance."""
        return NOISES[self.noise]

    def tables(self) -> list[Array]:
        """One (values, values) array a parameter."""
        return [axis.table(s) for axis, s in zip(self.axes, self.settings, strict=True)]

    def redrawn(self, points: Array, targets: Array, rng: np.random.Generator) -> Correlation:
        """Every setting drawn anew, one after the other, given the others and the timings.

        Args:
            points: (m, P) value indices.
            targets: (m,) float64, smaller is better.
            rng: Draws.
        """
        if np.ptp(targets) == 0:
            return self
        kept = _worth_fitting(targets, rng)
        points, targets = points[kept], targets[kept]
        settings, noise = list(self.settings), self.noise
        factors = [
            table[column].take(column, axis=1)
            for table, column in zip(self.tables(), points.T, strict=True)
        ]
        product = reduce(np.multiply, factors)
        for p in rng.permutation(len(self.axes)):
            options, choices = self.axes[p].options(settings[p], points[:, p], rng)
            rest = product / factors[p]
            scores = _log_likelihoods(rest * choices, np.array(NOISES[noise]), targets)
            drawn = _draw((scores.reshape(-1, len(RELEVANCES)) + LOG_PRIORS).ravel(), rng)
            settings[p], factors[p] = options[drawn], choices[drawn]
            product = rest * factors[p]
        noise = _draw(_log_likelihoods(product, np.array(NOISES)[:, None], targets), rng)
        return Correlation(self.axes, tuple(settings), noise)


def embedding(parameter: Parameter) -> Array | None:
    """Places of a parameter's values on [0, 1], (values,); None where they have no order.

    Half way between their logarithms and their ranks: sizes matter by ratios, and values were
    chosen so that each step matters.
    """
    values = parameter.values
    if any(isinstance(value, str | bool) for value in values):
        return None
    numbers = np.array(values, dtype=np.float64)
    ranks = np.argsort(np.argsort(numbers)) / max(1, len(numbers) - 1)
    if numbers.min() <= 0 or np.ptp(numbers) == 0:
        return np.asarray(ranks)
    logs = np.log(numbers / numbers.min())
    return np.asarray((ranks + logs / logs.max()) / 2)


def _distances(parameter: Parameter) -> tuple[Array, Array]:
    """Distance between values, and whether exactly one is a power of two, (values, values)."""
    count = len(parameter.values)
    places = embedding(parameter)
    if places is None:
        return np.where(np.eye(count, dtype=np.bool_), 0.0, np.inf), np.zeros((count, count))
    numbers = np.array(parameter.values, dtype=np.float64)
    is_power = np.zeros(count, np.bool_)
    if count > 2 and (numbers > 0).all():
        is_power = np.frexp(numbers)[0] == 0.5
    apart = is_power[:, None] != is_power[None, :]
    return np.abs(places[:, None] - places[None, :]), apart.astype(np.float64)


def _worth_fitting(targets: Array, rng: np.random.Generator) -> Array:
    """Indices of the timings that settings are fitted to, ascending."""
    if len(targets) <= FITTED:
        return np.arange(len(targets))
    order = np.argsort(targets, kind="stable")
    others = rng.choice(order[FITTED // 2 :], FITTED - FITTED // 2, replace=False)
    return np.sort(np.concatenate([order[: FITTED // 2], others]))


def _log_likelihoods(correlations: Array, noise: Array, targets: Array) -> Array:
    """Log marginal likelihood of a Gaussian process with unknown mean and variance, (n,).

    Rasmussen and Williams, Gaussian Processes for Machine Learning, equation 2.30, with the
    variance at its maximum. The targets and a row of ones stand below the matrices that are
    factorised, so that the factors hold both already multiplied by the inverse of L.

    Args:
        correlations: (n, m, m), or (m, m) for one under every noise.
        noise: Variances relative to all variance, (n, 1), or () for one.
        targets: (m,).
    """
    m = len(targets)
    count = max(len(correlations) if correlations.ndim == 3 else 1, noise.size)
    bordered = np.empty((count, m + 2, m + 2))
    bordered[:, :m, :m] = correlations
    np.einsum("ijj->ij", bordered)[:, :m] += noise
    bordered[:, m, :m] = targets
    bordered[:, m + 1, :m] = 1.0
    bordered[:, m:, m:] = BORDER * np.eye(2)  # keeps the whole positive definite
    factors = np.linalg.cholesky(bordered)
    determinants = np.log(np.diagonal(factors[:, :m, :m], axis1=1, axis2=2)).sum(axis=1)
    whitened, ones = factors[:, m, :m], factors[:, m + 1, :m]
    crossed = (whitened * ones).sum(axis=1)
    squares = (whitened**2).sum(axis=1) - crossed**2 / (ones**2).sum(axis=1)
    return np.asarray(-0.5 * m * np.log(np.maximum(squares / m, 1e-12)) - determinants)


def _draw(scores: Array, rng: np.random.Generator) -> int:
    """An index with probability proportional to exp(score)."""
    weights = np.exp(scores - scores.max())
    return int(np.searchsorted(np.cumsum(weights), rng.random() * weights.sum()))
