"""References whose annotations are wrong in ways that take more than one look."""

import numpy as np
from jaxtyping import Float64

import outpace
from outpace import Block, Combination, Reduced

Cells = Float64[np.ndarray, "n"]
ONE = {"only": {"n": 512}}
INPUTS = {"u": outpace.Uniform(-1, 1)}


@outpace.optimize(workloads=ONE, inputs=INPUTS, split={"n": Block(halo=1)})
def every_other(u: Cells) -> Cells:
    """Even cells are those that are even in the whole; some blocks begin with such a one."""
    out = u.copy()
    out[::2] *= 2
    return out


@outpace.optimize(
    workloads={"only": {"n": 512, "radius": 1}}, inputs=INPUTS, split={"n": Block(halo=1)}
)
def of_a_radius(u: Cells, radius: int) -> Cells:
    """As far as an argument says, which is 1 in the workload."""
    out = u.copy()
    if 0 < 2 * radius < u.size:
        out[radius:-radius] = u[: -2 * radius] + u[2 * radius :]
    return out


@outpace.optimize(
    workloads={"only": {"n": 512, "steps": 5}},
    inputs=INPUTS,
    split={"n": Block(halo=1)},
    steps="steps",
)
def wider_later(u: Cells, steps: int) -> Cells:
    """Later steps read more."""
    u = u.copy()
    for step in range(steps):
        far = min(step + 1, 3)
        if 2 * far < u.size:
            u[far:-far] = 0.5 * (u[: -2 * far] + u[2 * far :])
    return u


@outpace.optimize(workloads=ONE, inputs=INPUTS, split={"n": Block(halo=1)})
def beyond_the_ghosts(u: Float64[np.ndarray, "n+2"]) -> Cells:
    """Two cells to the low side, of which the axis has one."""
    out = u[:-2] + u[1:-1] + u[2:]
    if out.size > 2:
        out[1:] += 0.1 * u[:-3]
    return out


@outpace.optimize(workloads=ONE, inputs=INPUTS, split={"n": Block(halo=1)})
def far_where_large(u: Cells) -> Cells:
    """Few cells read far."""
    out = u.copy()
    out[4:] += np.where(u[4:] > 0.7, u[:-4], 0)
    return out


@outpace.optimize(
    workloads=ONE,
    inputs=INPUTS,
    split={"n": Block()},
    reduce={"out0": Reduced(Combination.SUM), "out1": Reduced(Combination.SUM)},
)
def spread(u: Cells) -> tuple[float, float]:
    """The first is a sum; the second needs the mean of all."""
    mean = u.mean() if u.size else 0.0
    return float(np.sum(u)), float(np.sum((u - mean) ** 2))


@outpace.optimize(
    workloads=ONE, inputs=INPUTS, split={"n": Block()}, reduce={"out": Reduced(Combination.SUM)}
)
def roughness(u: Cells) -> float:
    """A sum over pairs of neighbours, of which blocks lack some."""
    return float(np.sum(np.diff(u) ** 2))
