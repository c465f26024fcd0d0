"""References that array code beats by far and that it does not, in a module that imports fast."""

import numpy as np
from jaxtyping import Float64

import outpace
from outpace import Block


@outpace.optimize(
    workloads={"only": {"n": 20_000}},
    inputs={"u": outpace.Uniform(-1, 1)},
    split={"n": Block()},
)
def bent(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """A polynomial of every element in a Python loop: arrays are more than 100 times faster."""
    out = np.empty_like(u)
    for i in range(u.size):
        out[i] = (0.5 * u[i] + 1.0) * u[i] - 0.25
    return out


@outpace.optimize(
    workloads={"only": {"n": 20_000}},
    inputs={"u": outpace.Uniform(-1, 1)},
    split={"n": Block()},
)
def quick(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """The same polynomial of arrays."""
    return (0.5 * u + 1.0) * u - 0.25
