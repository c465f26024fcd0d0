"""Factorisations and triangular systems."""

from typing import Any

import numpy as np
from jaxtyping import Float64

import outpace


def _positive_definite(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    n = sizes["n"]
    square = rng.uniform(-1.0, 1.0, (n, n))
    return {"A": square @ square.T / max(n, 1) + np.eye(n)}


def _dominant(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    n = sizes["n"]
    return {"A": rng.uniform(-1.0, 1.0, (n, n)) + n * np.eye(n)}


def _system(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    return {**_dominant(sizes, rng), "b": rng.uniform(-1.0, 1.0, sizes["n"])}


@outpace.optimize(
    workloads={"small": {"n": 40}, "large": {"n": 200}},
    inputs=_positive_definite,
    mutates=("A",),
    where="n >= 1",
    reduction="n",
)
def cholesky(A: Float64[np.ndarray, "n n"]) -> None:
    """The lower triangle becomes L with A = L L'."""
    A[0, 0] = np.sqrt(A[0, 0])
    for i in range(1, A.shape[0]):
        for j in range(i):
            A[i, j] -= np.dot(A[i, :j], A[j, :j])
            A[i, j] /= A[j, j]
        A[i, i] -= np.dot(A[i, :i], A[i, :i])
        A[i, i] = np.sqrt(A[i, i])


@outpace.optimize(
    workloads={"small": {"n": 30}, "large": {"n": 150}},
    inputs=_dominant,
    mutates=("A",),
    reduction="n",
)
def lu(A: Float64[np.ndarray, "n n"]) -> None:
    """A becomes L and U of A = L U, without pivots."""
    for i in range(A.shape[0]):
        for j in range(i):
            A[i, j] -= A[i, :j] @ A[:j, j]
            A[i, j] /= A[j, j]
        for j in range(i, A.shape[0]):
            A[i, j] -= A[i, :i] @ A[:i, j]


@outpace.optimize(
    workloads={"small": {"n": 30}, "large": {"n": 150}},
    inputs=_system,
    mutates=("A",),
    reduction="n",
)
def ludcmp(
    A: Float64[np.ndarray, "n n"], b: Float64[np.ndarray, "n"]
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Solve A x = b through A = L U; x and y with L y = b."""
    n = A.shape[0]
    x = np.zeros_like(b)
    y = np.zeros_like(b)
    for i in range(n):
        for j in range(i):
            A[i, j] -= A[i, :j] @ A[:j, j]
            A[i, j] /= A[j, j]
        for j in range(i, n):
            A[i, j] -= A[i, :i] @ A[:i, j]
    for i in range(n):
        y[i] = b[i] - A[i, :i] @ y[:i]
    for i in range(n - 1, -1, -1):
        x[i] = (y[i] - A[i, i + 1 :] @ x[i + 1 :]) / A[i, i]
    return x, y


@outpace.optimize(
    workloads={"small": {"n": 600}, "large": {"n": 6000}},
    inputs=_system,
    reduction="n",
)
def trisolv(A: Float64[np.ndarray, "n n"], b: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Solve L x = b for the lower triangle L of A."""
    x = np.zeros_like(b)
    for i in range(b.shape[0]):
        x[i] = (b[i] - A[i, :i] @ x[:i]) / A[i, i]
    return x


def _autocorrelation(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    n = sizes["n"]
    return {"r": rng.uniform(-1.0, 1.0, n) / (2.0 * max(n, 1))}


@outpace.optimize(
    workloads={"small": {"n": 300}, "large": {"n": 6000}},
    inputs=_autocorrelation,
    where="n >= 1",
)
def durbin(r: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Solve the Yule-Walker equations of a Toeplitz matrix by Durbin's recursion."""
    y = np.empty_like(r)
    alpha = -r[0]
    beta = 1.0
    y[0] = -r[0]
    for k in range(1, r.shape[0]):
        beta *= 1.0 - alpha * alpha
        alpha = -(r[k] + np.dot(np.flip(r[:k]), y[:k])) / beta
        y[:k] += alpha * np.flip(y[:k])
        y[k] = alpha
    return y


def _tall(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    return {"A": rng.uniform(0.5, 1.5, (sizes["m"], sizes["n"])) + np.eye(sizes["m"], sizes["n"])}


@outpace.optimize(
    workloads={"small": {"m": 50, "n": 30}, "large": {"m": 200, "n": 150}},
    inputs=_tall,
    mutates=("A",),
    where="m >= n",
)
def gramschmidt(
    A: Float64[np.ndarray, "m n"],
) -> tuple[Float64[np.ndarray, "m n"], Float64[np.ndarray, "n n"]]:
    """A = Q R by the modified Gram-Schmidt process; A is used up."""
    Q = np.zeros_like(A)
    R = np.zeros((A.shape[1], A.shape[1]), dtype=A.dtype)
    for k in range(A.shape[1]):
        norm = np.dot(A[:, k], A[:, k])
        R[k, k] = np.sqrt(norm)
        Q[:, k] = A[:, k] / R[k, k]
        for j in range(k + 1, A.shape[1]):
            R[k, j] = np.dot(Q[:, k], A[:, j])
            A[:, j] -= Q[:, k] * R[k, j]
    return Q, R
