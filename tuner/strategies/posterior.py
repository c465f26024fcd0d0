"""What is expected of many candidate points after some have been tried, kept up to date cheaply.

A Gaussian process (Rasmussen and Williams, chapter 2) whose Cholesky factor grows by a row with
every point. Of the candidates it keeps V = inv(L) k(tried, candidates), so that one more tried
point costs one pass over V and no factorisation. These passes use einsum: a BLAS would start
threads for each, and keep them spinning after it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SMALLEST_VARIANCE = 1e-6


class Posterior:
    """Means and deviations of candidates.

    Args:
        tables: Correlation between the values of each parameter, one (values, values) array each.
        noise: Variance of the noise relative to all variance.
        candidates: (n, P) value indices.
        tried: (m, P) value indices of the points that are conditioned on from the start.
    """

    def __init__(self, tables: list[Array], noise: float, candidates: Array, tried: Array) -> None:
        self._tables = tables
        self._single = [np.ascontiguousarray(t, dtype=np.float32) for t in tables]
        self._noise = noise
        self._columns = _columns(candidates)
        self._tried = _columns(tried)
        m = len(tried)
        matrix = self._correlations(tried, self._tried) + noise * np.eye(m)
        self._inverse = np.linalg.inv(np.linalg.cholesky(matrix))
        self._v: Array = np.empty((max(64, 2 * m), len(candidates)), np.float32)
        self._v[:m] = self._projected(self._columns, len(candidates))
        self._explained = np.einsum("ij,ij->j", self._v[:m], self._v[:m])

    def __len__(self) -> int:
        return int(self._tried.shape[1])

    def add(self, point: Array) -> None:
        """Condition on one more point, (P,) value indices."""
        m = len(self)
        if m == len(self._v):
            self._v = np.concatenate([self._v, np.empty_like(self._v)])
        across = self._correlations(point[None], self._tried)[0]
        row = np.einsum("ij,j->i", self._inverse, across)
        diagonal = np.sqrt(max(1 + self._noise - row @ row, self._noise))
        grown = np.zeros((m + 1, m + 1))
        grown[:m, :m] = self._inverse
        grown[m, :m] = -np.einsum("i,ij->j", row, self._inverse) / diagonal
        grown[m, m] = 1 / diagonal
        self._inverse = grown
        fresh = self._single_row(point)
        fresh -= np.einsum("i,ij->j", row.astype(np.float32), self._v[:m])
        fresh /= np.float32(diagonal)
        self._v[m] = fresh
        self._explained += fresh * fresh
        self._tried = np.concatenate([self._tried, point.astype(np.intp)[:, None]], axis=1)

    def extend(self, candidates: Array) -> None:
        """More candidates, (n, P) value indices, after those that are there."""
        columns = _columns(candidates)
        fresh = self._projected(columns, len(candidates))
        grown = np.empty((len(self._v), self._v.shape[1] + len(candidates)), np.float32)
        m = len(self)
        grown[:m, : self._v.shape[1]] = self._v[:m]
        grown[:m, self._v.shape[1] :] = fresh
        self._v = grown
        self._explained = np.concatenate([self._explained, np.einsum("ij,ij->j", fresh, fresh)])
        self._columns = np.concatenate([self._columns, columns], axis=1)

    def predict(self, targets: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of every candidate, both (n,).

        Args:
            targets: (m,) of the points that were tried, in the order in which they were added.
                Their mean is unknown and estimated by generalised least squares.
        """
        ones = self._inverse.sum(axis=1)
        whitened = np.einsum("ij,j->i", self._inverse, targets)
        mean = (ones @ whitened) / (ones @ ones)
        residual = whitened - mean * ones
        variance = max(float(residual @ residual) / len(self), 1e-8)
        means = mean + np.einsum("i,ij->j", residual.astype(np.float32), self._v[: len(self)])
        left = np.maximum(1 - self._explained, SMALLEST_VARIANCE)
        return means, np.sqrt(left * np.float32(variance))

    def _correlations(self, points: Array, columns: Array) -> Array:
        """Of these points with those columns, float64."""
        found = np.ones((len(points), columns.shape[1]))
        for table, own, column in zip(self._tables, points.T, columns, strict=True):
            found *= table[own[:, None], column[None, :]]
        return found

    def _single_row(self, point: Array) -> Array:
        """Of one point with every candidate, float32."""
        found = np.ones(self._columns.shape[1], np.float32)
        for table, value, column in zip(self._single, point, self._columns, strict=True):
            found *= table[value].take(column)
        return found

    def _projected(self, columns: Array, count: int) -> Array:
        """inv(L) k(tried, those candidates), float32."""
        found = np.ones((len(self), count), np.float32)
        for table, own, column in zip(self._single, self._tried, columns, strict=True):
            found *= table[own].take(column, axis=1)
        return np.asarray(self._inverse.astype(np.float32) @ found)


def _columns(points: Array) -> Array:
    """One contiguous row of value indices a parameter, (P, n)."""
    return np.ascontiguousarray(points.T, dtype=np.intp)
