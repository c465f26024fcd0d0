"""Moments, and averages over rings."""

from typing import Any

import numpy as np
from jaxtyping import Float64

import outpace
from outpace import Uniform


@outpace.optimize(
    workloads={"small": {"m": 60, "n": 80}, "large": {"m": 400, "n": 500}},
    inputs={"data": Uniform(-1, 1)},
    mutates=("data",),
    where="n >= 2",
)
def covariance(data: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "m m"]:
    """Covariance of the columns, whose means are subtracted in place."""
    n, m = data.shape
    mean = np.mean(data, axis=0)
    data -= mean
    cov = np.zeros((m, m), dtype=data.dtype)
    for i in range(m):
        cov[i:m, i] = cov[i, i:m] = data[:, i] @ data[:, i:m] / (n - 1.0)
    return cov


@outpace.optimize(
    workloads={"small": {"m": 60, "n": 80}, "large": {"m": 400, "n": 500}},
    inputs={"data": Uniform(-1, 1)},
    mutates=("data",),
    where="n >= 2 and m >= 1",
)
def correlation(data: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "m m"]:
    """Correlation of the columns, which are standardised in place."""
    n, m = data.shape
    mean = np.mean(data, axis=0)
    deviation = np.std(data, axis=0)
    deviation[deviation <= 0.1] = 1.0
    data -= mean
    data /= np.sqrt(n) * deviation
    corr = np.eye(m, dtype=data.dtype)
    for i in range(m - 1):
        corr[i + 1 : m, i] = corr[i, i + 1 : m] = data[:, i] @ data[:, i + 1 : m]
    return corr


def _rings(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    n = sizes["n"]
    return {"data": rng.random(n), "radius": rng.random(n)}


@outpace.optimize(
    workloads={"small": {"n": 2000, "npt": 100}, "large": {"n": 100_000, "npt": 300}},
    inputs=_rings,
    where="n >= 1 and npt >= 1",
    reduction="n",
)
def azimint_naive(
    data: Float64[np.ndarray, "n"], radius: Float64[np.ndarray, "n"], npt: int
) -> Float64[np.ndarray, "npt"]:
    """Mean of the data in each of npt rings of equal width; NaN in empty ones."""
    rmax = radius.max()
    res = np.zeros(npt, dtype=np.float64)
    for i in range(npt):
        r1 = rmax * i / npt
        r2 = rmax * (i + 1) / npt
        mask = np.logical_and((r1 <= radius), (radius < r2))
        values = data[mask]
        res[i] = values.mean()
    return res


@outpace.optimize(
    workloads={"small": {"n": 5000, "npt": 100}, "large": {"n": 400_000, "npt": 1000}},
    inputs=_rings,
    where="n >= 1 and npt >= 1",
    reduction="n",
)
def azimint_hist(
    data: Float64[np.ndarray, "n"], radius: Float64[np.ndarray, "n"], npt: int
) -> Float64[np.ndarray, "npt"]:
    """The same by two histograms; the last ring is closed."""
    count = np.histogram(radius, npt)[0]
    total = np.histogram(radius, npt, weights=data)[0]
    return total / count
