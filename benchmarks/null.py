"""The reference of the error-rate measurement, and drafts of it whose true speedup is known.

`smooth` repeats one sweep a given number of times; a draft that repeats it fewer times gives the
same answer in proportionally less time, so its speedup is known by construction.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

import outpace

SWEEPS = 21


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


_KERNEL = """def kernel(u, out):
    for _ in range({sweeps}):
        out[:1] = u[:1]
        out[-1:] = u[-1:]
        out[1:-1] = u[1:-1] + 0.1 * (u[:-2] - 2.0 * u[1:-1] + u[2:])
"""


def copy_of_reference(name: str = "copy", sweeps: int = SWEEPS) -> outpace.Draft:
    """The statements of the reference, writing into the output given; true speedup 1.

    Args:
        name: Stands in a comment, so that copies of different names are different drafts.
        sweeps: Fewer than `SWEEPS` make it faster by `SWEEPS / sweeps`.
    """
    return outpace.Draft("numba", f"# {name}\n{_KERNEL.format(sweeps=sweeps)}")


def compiled(name: str) -> outpace.Draft:
    """The same statements compiled by Numba; drafts of different names are compiled apart."""
    source = f"# {name}\nimport numba\n\n\n@numba.njit\n{_KERNEL.format(sweeps=SWEEPS)}"
    return outpace.Draft("numba", source)
