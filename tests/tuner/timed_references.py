"""References whose speedups leave no doubt, in a module that judged processes import quickly.

A call takes several milliseconds: what a busy machine adds to it is less.
"""

import numpy as np
from jaxtyping import Float64, Int64

import outpace


@outpace.optimize(workloads={"only": {"n": 16_000}})
def running(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Recurrence as a Python loop: compiled code is more than 50 times faster."""
    out = np.empty_like(u)
    last = 0.0
    for i in range(u.size):
        last = 0.5 * last + u[i]
        out[i] = last
    return out


@outpace.optimize(workloads={"only": {"n": 16_000, "bins": 16}}, mutates=("counts",))
def histogram(
    values: Int64[np.ndarray, "n"], counts: Int64[np.ndarray, "bins"], bins: int
) -> float:
    """In-place and scalar results."""
    total = 0.0
    for i in range(values.size):
        counts[values[i] % bins] += 1
        total += float(values[i])
    return total
