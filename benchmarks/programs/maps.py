"""Elementwise programs, with and without loops around them."""

import numpy as np
from jaxtyping import Complex128, Float64, Int64

import outpace
from outpace import Integers, Uniform


@outpace.optimize(
    workloads={"small": {"n": 20_000}, "large": {"n": 1_000_000}},
    inputs={n: Uniform(-1.5, 1.5) for n in ("theta_1", "phi_1", "theta_2", "phi_2")},
)
def arc_distance(
    theta_1: Float64[np.ndarray, "n"],
    phi_1: Float64[np.ndarray, "n"],
    theta_2: Float64[np.ndarray, "n"],
    phi_2: Float64[np.ndarray, "n"],
) -> Float64[np.ndarray, "n"]:
    """Angle between pairs of points on the sphere."""
    temp = (
        np.sin((theta_2 - theta_1) / 2) ** 2
        + np.cos(theta_1) * np.cos(theta_2) * np.sin((phi_2 - phi_1) / 2) ** 2
    )
    return 2 * (np.arctan2(np.sqrt(temp), np.sqrt(1 - temp)))


@outpace.optimize(
    workloads={"small": {"n": 300}, "large": {"n": 3000}},
    inputs={"a": Uniform(0, 1)},
)
def go_fast(a: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n n"]:
    """The matrix plus the sum of the tangents of its diagonal."""
    total = 0.0
    for i in range(a.shape[0]):
        total += np.tanh(a[i, i])
    return a + total


@outpace.optimize(
    workloads={
        "small": {"m": 400, "n": 400, "a": 4, "b": 3, "c": 9},
        "large": {"m": 2000, "n": 2500, "a": 4, "b": 3, "c": 9},
    },
    inputs={
        "array_1": Integers(0, 1000),
        "array_2": Integers(0, 1000),
    },
)
def compute(
    array_1: Int64[np.ndarray, "m n"],
    array_2: Int64[np.ndarray, "m n"],
    a: int,
    b: int,
    c: int,
) -> Int64[np.ndarray, "m n"]:
    """A clipped image times a weight, plus another image."""
    return np.clip(array_1, 2, 10) * a + array_2 * b + c


@outpace.optimize(
    workloads={
        "small": {"nx": 80, "ny": 70, "maxiter": 30},
        "large": {"nx": 400, "ny": 350, "maxiter": 60},
    },
    inputs={"xmin": Uniform(-2.3, -2.2), "xmax": Uniform(0.6, 0.8)},
    where="nx >= 2 and ny >= 2",
)
def mandelbrot(
    xmin: float, xmax: float, nx: int, ny: int, maxiter: int
) -> tuple[Complex128[np.ndarray, "ny nx"], Int64[np.ndarray, "ny nx"]]:
    """Escape times of z -> z**2 + c; points that have escaped stay where they are."""
    X = np.linspace(xmin, xmax, nx, dtype=np.float64)
    Y = np.linspace(-1.2, 1.3, ny, dtype=np.float64)
    C = X + Y[:, None] * 1j
    N = np.zeros(C.shape, dtype=np.int64)
    Z = np.zeros(C.shape, dtype=np.complex128)
    for n in range(maxiter):
        inside = np.less(abs(Z), 2.0)
        N[inside] = n
        Z[inside] = Z[inside] ** 2 + C[inside]
    N[maxiter - 1 == N] = 0
    return Z, N
