"""What is expected of many candidate points after some have been tried, kept up to date cheaply.

A Gaussian process (Rasmussen and Williams, chapter 2) whose Cholesky factor L grows with every
point. Of the candidates it keeps V = inv(L) k(tried, candidates), so that one more tried point
costs one pass over V and no factorisation.

Passes use einsum, and products of matrices are done in pieces: a BLAS would start threads for them,
and keep them spinning after it.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SMALLEST_VARIANCE = 1e-6
BLOCK = 32
"""Rows of a matrix that are worked on at once."""
COLUMNS = 512
"""Candidates that are worked on at once, so that what they need stays in the cache."""
PIECE = 2**18
"""Multiplications in one product of matrices; OpenBLAS starts no threads for so few."""
JOINED = 256
"""Parameters are looked up as one while their values have no more combinations than this."""


class Posterior:
    """Means and deviations of candidates.

    Args:
        tables: Correlation between the values of each parameter, one (values, values) array each.
        noise: Variance of the noise relative to all variance.
        candidates: (n, P) value indices.
        tried: (m, P) value indices of the points that are conditioned on from the start.
    """

    def __init__(self, tables: list[Array], noise: float, candidates: Array, tried: Array) -> None:
        self._kernel = Kernel(tables)
        self._noise = noise
        codes = self._kernel.codes(tried)
        m = self._count = len(tried)
        room = max(64, 2 * m)
        self._tried = np.zeros((len(codes), room), np.intp)
        """Codes; of this and what is as long, only what belongs to `_count` points is in use."""
        self._tried[:, :m] = codes
        self._inverse = np.zeros((room, room))
        """Of L."""
        matrix = self._kernel.between(codes, codes) + noise * np.eye(m)
        self._inverse[:m, :m] = _inverse_factor(matrix)
        self._ones = np.empty(room)
        """Inverse of L, times a column of ones."""
        self._ones[:m] = self._inverse[:m, :m].sum(axis=1)
        self._candidates = self._kernel.codes(candidates[:0])
        self._v: Array = np.empty((room, 0), np.float32)
        self._explained: Array = np.empty(0, np.float32)
        self.extend(candidates)

    def __len__(self) -> int:
        return self._count

    def add(self, point: Array) -> None:
        """Condition on one more point, (P,) value indices."""
        m = self._count
        if m == len(self._v):
            self._make_room()
        code, inverse = self._kernel.codes(point[None])[:, 0], self._inverse[:m, :m]
        row = np.einsum("ij,j->i", inverse, self._kernel.row(code, self._tried[:, :m]))
        diagonal = sqrt(max(1 + self._noise - row @ row, self._noise))
        self._inverse[m, :m] = np.einsum("i,ij->j", row / -diagonal, inverse)
        self._inverse[m, m] = 1 / diagonal
        self._ones[m] = self._inverse[m, : m + 1].sum()
        self._tried[:, m] = code
        fresh = self._v[m]
        fresh[:] = self._kernel.row(code, self._candidates, single=True)
        fresh -= np.einsum("i,ij->j", row.astype(np.float32), self._v[:m])
        fresh /= np.float32(diagonal)
        self._explained += fresh * fresh
        self._count = m + 1

    def extend(self, candidates: Array) -> None:
        """More candidates, (n, P) value indices, after those that are there."""
        codes = self._kernel.codes(candidates)
        m, n = self._count, self._v.shape[1]
        grown = np.empty((len(self._v), n + len(candidates)), np.float32)
        grown[:m, :n] = self._v[:m]
        inverse = self._inverse[:m, :m].astype(np.float32)
        for left in range(0, len(candidates), COLUMNS):
            some = codes[:, left : left + COLUMNS]
            fresh = grown[:m, n + left : n + left + some.shape[1]]
            across = self._kernel.between(self._tried[:, :m], some, single=True)
            for top in range(0, m, BLOCK):
                below = min(top + BLOCK, m)  # the inverse is a lower triangle
                fresh[top:below] = _product(inverse[top:below, :below], across[:below])
        fresh = grown[:m, n:]
        self._v = grown
        self._explained = np.concatenate([self._explained, np.einsum("ij,ij->j", fresh, fresh)])
        self._candidates = np.concatenate([self._candidates, codes], axis=1)

    def keep(self, which: Array) -> None:
        """Forget all candidates but these, given by their indices in the order to keep."""
        kept = np.empty((len(self._v), len(which)), np.float32)
        kept[: self._count] = self._v[: self._count, which]
        self._v = kept
        self._explained = self._explained[which]
        self._candidates = self._candidates[:, which]

    def predict(self, targets: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of every candidate, both (n,).

        Args:
            targets: (m,) of the points that were tried, in the order in which they were added.
                Their mean is unknown and estimated by generalised least squares.
        """
        m = self._count
        inverse = self._inverse[:m, :m]
        ones = self._ones[:m]
        whitened = np.einsum("ij,j->i", inverse, targets)
        mean = (ones @ whitened) / (ones @ ones)
        residual = whitened - mean * ones
        variance = max(float(residual @ residual) / m, 1e-8)
        means = mean + np.einsum("i,ij->j", residual.astype(np.float32), self._v[:m])
        left = np.maximum(1 - self._explained, SMALLEST_VARIANCE)
        return means, np.sqrt(left * np.float32(variance))

    def _make_room(self) -> None:
        """For twice as many tried points."""
        m = self._count
        self._tried = np.concatenate([self._tried, self._tried], axis=1)
        self._ones = np.concatenate([self._ones, self._ones])
        self._v = np.concatenate([self._v, self._v])
        self._inverse = np.pad(self._inverse, (0, m))


class Kernel:
    """Correlation of points: the product over parameters of what tables say of their values.

    Neighbouring parameters are looked up as one, which takes fewer passes over many points. A
    point's code has one entry for each such group: which combination of values it has there.

    Args:
        tables: (values, values) for each parameter.
    """

    def __init__(self, tables: list[Array]) -> None:
        self._tables: list[Array] = []
        self._factors = np.zeros((0, len(tables)), np.intp)
        """What value indices are multiplied with, (groups, P)."""
        for parameter, table in enumerate(tables):
            if self._tables and len(self._tables[-1]) * len(table) <= JOINED:
                self._tables[-1] = _outer(self._tables[-1], table)
                self._factors[-1] *= len(table)
            else:
                self._tables.append(table)
                self._factors = np.pad(self._factors, ((0, 1), (0, 0)))
            self._factors[-1, parameter] = 1
        self._single = [table.astype(np.float32) for table in self._tables]

    def codes(self, points: Array) -> Array:
        """Codes of points, (groups, n), of their value indices, (n, P)."""
        return np.asarray(self._factors @ points.T)

    def row(self, code: Array, others: Array, *, single: bool = False) -> Array:
        """Correlation of the point with a code, (groups,), with those of others, (groups, n)."""
        tables = self._single if single else self._tables
        found = np.ones(others.shape[1], tables[0].dtype)
        for table, own, other in zip(tables, code, others, strict=True):
            found *= table[own].take(other)
        return found

    def between(self, codes: Array, others: Array, *, single: bool = False) -> Array:
        """Correlation of points with others, (b, n), by codes, (groups, b) and (groups, n)."""
        tables = self._single if single else self._tables
        found = np.ones((codes.shape[1], others.shape[1]), tables[0].dtype)
        for table, own, other in zip(tables, codes, others, strict=True):
            found *= table[own].take(other, axis=1)
        return found


def _outer(left: Array, right: Array) -> Array:
    """The table of two parameters, of their tables."""
    count = len(left) * len(right)
    table = left[:, None, :, None] * right[None, :, None, :]
    return np.asarray(table.reshape(count, count))


def _inverse_factor(matrix: Array) -> Array:
    """Inverse of the Cholesky factor of a positive definite matrix, block after block."""
    inverse = np.zeros_like(matrix)
    for start in range(0, len(matrix), BLOCK):
        above, block = slice(start), slice(start, start + BLOCK)
        known = inverse[above, above]
        row = _product(matrix[block, above], known.T)
        corner = np.linalg.inv(np.linalg.cholesky(matrix[block, block] - _product(row, row.T)))
        inverse[block, above] = -_product(_product(corner, row), known)
        inverse[block, block] = corner
    return inverse


def _product(left: Array, right: Array) -> Array:
    """Matrix product of (b, m) and (m, n), b at most `BLOCK`, in pieces of some columns."""
    count = right.shape[1]
    found = np.empty((len(left), count), right.dtype)
    width = max(1, PIECE // max(1, left.size))
    whole = count - count % width
    if whole:
        pieces = right[:, :whole].reshape(len(right), -1, width).swapaxes(0, 1)
        np.matmul(left, pieces, out=found[:, :whole].reshape(len(left), -1, width).swapaxes(0, 1))
    np.matmul(left, right[:, whole:], out=found[:, whole:])
    return found
