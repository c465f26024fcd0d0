"""The references that the hostile drafts pretend to speed up."""

import numpy as np
from jaxtyping import Float64

import outpace


@outpace.optimize(
    workloads={"only": {"n": 40_000}},
    inputs={"u": outpace.Uniform(-1, 1)},
)
def smooth(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Damped second differences with fixed ends; about 1 ms, five times that of one loop."""
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


@outpace.optimize(
    workloads={"only": {"n": 40_000}},
    inputs={"u": outpace.Uniform(-1, 1)},
)
def framed(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Means of both neighbours, and NaN at the ends, which have one."""
    out = np.full(u.shape, np.nan)
    out[1:-1] = 0.5 * (u[:-2] + u[2:])
    return out


@outpace.optimize(
    workloads={"only": {"n": 64}},
    inputs={"u": outpace.Uniform(-1, 1)},
)
def chain(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Many short array operations, so that calls are timed in batches."""
    out = u.copy()
    for _ in range(12):
        out = np.sqrt(out * out + 1.0) - 0.5 * u
    return out
