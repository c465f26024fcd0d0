"""The references that the planted drafts are drafts of, one a pattern."""

import numpy as np
from jaxtyping import Float32, Float64, Int64

import outpace
from outpace import Block, Boundary, Combination, Pencil, Reduced, Ring


@outpace.optimize(
    workloads={"only": {"y": 64, "x": 48, "steps": 8}},
    inputs={"u": outpace.Uniform(-1, 1)},
    split={"y": Block(halo=1), "x": Block(halo=1)},
    steps="steps",
)
def heat(u: Float64[np.ndarray, "y x"], steps: int) -> Float64[np.ndarray, "y x"]:
    """Steps of a nine-point average with fixed edges: corners count."""
    a = u.copy()
    for _ in range(steps):
        b = a.copy()
        b[1:-1, 1:-1] = 0.125 * (
            a[:-2, :-2]
            + a[:-2, 1:-1]
            + a[:-2, 2:]
            + a[1:-1, :-2]
            + a[1:-1, 2:]
            + a[2:, :-2]
            + a[2:, 1:-1]
            + a[2:, 2:]
        )
        a = b
    return a


@outpace.optimize(
    workloads={"only": {"n": 4096, "steps": 8}},
    inputs={"u": outpace.Uniform(-1, 1)},
    split={"n": Block(halo=(2, 1), boundary=Boundary.PERIODIC)},
    steps="steps",
)
def advect(u: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
    """Steps of an upwind-biased difference on a ring of cells."""
    for _ in range(steps):
        u = 0.7 * u + 0.4 * np.roll(u, 1) - 0.2 * np.roll(u, 2) + 0.1 * np.roll(u, -1)
    return u.copy()


@outpace.optimize(
    workloads={"only": {"n": 4096}},
    inputs={"u": outpace.Uniform(0.5, 1)},
    split={"n": Block()},
    reduce={"out": Reduced(Combination.SUM)},
)
def total(u: Float64[np.ndarray, "n"]) -> float:
    """Sum of squares."""
    return float(np.sum(u * u))


@outpace.optimize(
    workloads={"only": {"n": 4096}},
    inputs={"u": outpace.Uniform(-2, -1)},
    split={"n": Block()},
    reduce={"out": Reduced(Combination.MAXIMUM, reassociable=False)},
)
def highest(u: Float64[np.ndarray, "n"]) -> float:
    """Largest of negative numbers, minus infinity of none."""
    return float(np.max(u, initial=-np.inf))


@outpace.optimize(
    workloads={"only": {"n": 2048}},
    inputs={"u": outpace.Uniform(-1, 1)},
    split={"n": Block()},
    reduce={"out": Reduced(Combination.SUM)},
    reproducible=True,
)
def ordered(u: Float64[np.ndarray, "n"]) -> float:
    """Sum that must not depend on who comes first."""
    return float(np.sum(u))


@outpace.optimize(
    workloads={"only": {"n": 256, "k": 5}},
    inputs={"x": outpace.Uniform(-1, 1)},
    split={"n": Ring()},
)
def pairs(x: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, "n k"]:
    """Softened attraction of every point by every other."""
    gap = x[None, :, :] - x[:, None, :]
    return np.sum(gap / (1.0 + np.sum(gap * gap, axis=2, keepdims=True)), axis=1)


@outpace.optimize(
    workloads={"only": {"n": 4096}},
    inputs={"u": outpace.Integers(0, 2**40)},
    split={"n": Block()},
    reduce={"out": Reduced(Combination.SUM)},
)
def count(u: Int64[np.ndarray, "n"]) -> int:
    """Sum of large integers."""
    return int(np.sum(u))


@outpace.optimize(
    workloads={"only": {"n": 4096}},
    inputs={"u": outpace.Uniform(-1, 1)},
    split={"n": Block(halo=1)},
)
def smooth(u: Float32[np.ndarray, "n+2"]) -> Float32[np.ndarray, "n"]:
    """Mean of three, the ghost cells given."""
    return (u[:-2] + u[1:-1] + u[2:]) * np.float32(1 / 3)


@outpace.optimize(
    workloads={"only": {"y": 64, "x": 48}},
    inputs={"a": outpace.Uniform(-1, 1)},
    split={"y": Pencil(), "x": Pencil()},
)
def turned(a: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "x y"]:
    """The transpose."""
    return a.T.copy()
