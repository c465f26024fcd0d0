"""The reference of the error-rate measurement, and drafts of it whose true speedup is known.

`smooth` repeats one sweep a given number of times; a draft that repeats it fewer times gives the
same answer in proportionally less time, so its speedup is known by construction.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

import outpace

SWEEPS = 22


@outpace.optimize(
    workloads={"only": {"n": 30_000}},
    inputs={"u": outpace.Uniform(-1, 1)},
)
def smooth(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """One damped sweep, computed `SWEEPS` times over."""
    out = np.empty_like(u)
    for _ in range(SWEEPS):
        out[:1] = u[:1]
        out[-1:] = u[-1:]
        out[1:-1] = u[1:-1] + 0.1 * (u[:-2] - 2.0 * u[1:-1] + u[2:])
    return out


_DRAFT = """import numpy as np


def kernel(u, out):
    for _ in range({sweeps}):
        out[:1] = u[:1]
        out[-1:] = u[-1:]
        out[1:-1] = u[1:-1] + 0.1 * (u[:-2] - 2.0 * u[1:-1] + u[2:])
"""


def copy_of_reference() -> outpace.Draft:
    """The same statements, writing into the output it is given; true speedup 1."""
    return outpace.Draft("numba", _DRAFT.format(sweeps=SWEEPS))


def ten_percent_faster() -> outpace.Draft:
    """20 sweeps instead of 22; true speedup 1.10."""
    return outpace.Draft("numba", _DRAFT.format(sweeps=20))
