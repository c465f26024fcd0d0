"""References for kernels on a GPU, in a module that judged processes import quickly."""

import numpy as np
from jaxtyping import Float64

import outpace


@outpace.optimize(workloads={"only": {"n": 16_000}})
def squares(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Slow on purpose, under CuPy too: a Python loop."""
    out = np.empty_like(u)
    for i in range(u.size):
        out[i] = u[i] * u[i] + 1.0
    return out


@outpace.optimize(workloads={"only": {"n": 20_000, "steps": 12}})
def smoothed(u: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
    """Runs under CuPy as it stands."""
    a, b = u.copy(), u.copy()
    for _ in range(steps):
        b[1:-1] = 0.5 * a[1:-1] + 0.25 * (a[:-2] + a[2:])
        a, b = b, a
    return a


@outpace.optimize(workloads={"only": {"n": 4_000}}, mutates=("log",))
def logged(u: Float64[np.ndarray, "n"], log: Float64[np.ndarray, "n"]) -> float:
    """In place, with a scalar result."""
    log += u
    return float(np.sum(u * u))


@outpace.optimize(workloads={"only": {"n": 4_000}})
def particular(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Takes nothing but arrays of NumPy."""
    if type(u).__module__ != "numpy":
        raise TypeError("not an array of NumPy")
    return u + 1.0
