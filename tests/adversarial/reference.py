"""The reference that the hostile drafts pretend to speed up."""

import numpy as np
from jaxtyping import Float64

import outpace


@outpace.optimize(
    workloads={"only": {"n": 40_000}},
    inputs={"u": outpace.Uniform(-1, 1)},
)
def smooth(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Damped second difference with fixed ends; enough work for 0.3 ms."""
    out = u.copy()
    for _ in range(4):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return np.tanh(out)


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
