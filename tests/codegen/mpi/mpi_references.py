"""Small references of every pattern, as a user would annotate them."""

import numpy as np
from jaxtyping import Complex128, Float64, Int64

import outpace
from outpace.split import Block, Boundary, Combination, Pencil, Reduced, Ring

PERIODIC = Boundary.PERIODIC


@outpace.optimize(workloads={"a": {"y": 32, "x": 32}}, split={"y": Block(), "x": Block()})
def scaled(
    u: Float64[np.ndarray, "y x"], row: Float64[np.ndarray, "y"], factor: float
) -> Float64[np.ndarray, "y x"]:
    return np.sqrt(np.abs(u)) * factor + row[:, None]


@outpace.optimize(
    workloads={"a": {"y": 64, "x": 64, "steps": 9}},
    split={"y": Block(halo=1), "x": Block(halo=1)},
    steps="steps",
)
def heat(u: Float64[np.ndarray, "y x"], r: float, steps: int) -> Float64[np.ndarray, "y x"]:
    T = u.copy()
    for _ in range(steps):
        T[1:-1, 1:-1] = T[1:-1, 1:-1] + r * (
            T[2:, 1:-1] + T[:-2, 1:-1] + T[1:-1, 2:] + T[1:-1, :-2] - 4.0 * T[1:-1, 1:-1]
        )
    return T


@outpace.optimize(
    workloads={"a": {"x": 64, "steps": 9}},
    split={"x": Block(halo=(2, 1), boundary=PERIODIC)},
    steps="steps",
)
def advect(
    q: Float64[np.ndarray, "x"], speed: Float64[np.ndarray, "x"], steps: int
) -> Float64[np.ndarray, "x"]:
    for _ in range(steps):
        q = q - speed * (np.roll(q, -1) - 0.5 * np.roll(q, 1) - 0.5 * np.roll(q, 2))
    return q


@outpace.optimize(
    workloads={"a": {"z": 24, "y": 24, "x": 24}},
    split={d: Block(halo=1, boundary=PERIODIC) for d in ("z", "y", "x")},
)
def smooth(u: Float64[np.ndarray, "z y x"]) -> Float64[np.ndarray, "z y x"]:
    corner = np.roll(u, (1, 1, -1), axis=(0, 1, 2))
    sides = sum(np.roll(u, s, axis=a) for a in range(3) for s in (-1, 1))
    return 0.5 * u + sides / 12.0 + 0.25 * corner


@outpace.optimize(
    workloads={"a": {"I": 24, "J": 24, "K": 4}},
    split={"I": Block(halo=2), "J": Block(halo=2), "K": Block()},
)
def diffuse(
    field: Float64[np.ndarray, "I+4 J+4 K"], coeff: Float64[np.ndarray, "I J K"]
) -> Float64[np.ndarray, "I J K"]:
    lap = (
        field[2:, 1:-1] + field[:-2, 1:-1] + field[1:-1, 2:] + field[1:-1, :-2]
        - 4.0 * field[1:-1, 1:-1]
    )  # fmt: skip
    fx = lap[1:, 1:-1] - lap[:-1, 1:-1]
    fy = lap[1:-1, 1:] - lap[1:-1, :-1]
    return field[2:-2, 2:-2] - coeff * (fx[1:] - fx[:-1] + fy[:, 1:] - fy[:, :-1])


@outpace.optimize(
    workloads={"a": {"x": 64, "steps": 9}},
    mutates=("e", "h"),
    split={"x": Block(halo=1)},
    steps="steps",
)
def maxwell(e: Float64[np.ndarray, "x"], h: Float64[np.ndarray, "x"], steps: int) -> None:
    for _ in range(steps):
        h[:-1] += 0.5 * (e[1:] - e[:-1])
        e[1:] += 0.5 * (h[1:] - h[:-1])


@outpace.optimize(
    workloads={"a": {"m": 32, "n": 32, "k": 32}},
    split={"m": Block(), "n": Block(), "k": Ring()},
    tolerance=1e-12,
)
def product(
    a: Float64[np.ndarray, "m k"], b: Float64[np.ndarray, "k n"]
) -> Float64[np.ndarray, "m n"]:
    return a @ b


@outpace.optimize(workloads={"a": {"r": 32, "c": 32}}, split={"r": Pencil(), "c": Pencil()})
def transposed(u: Float64[np.ndarray, "r c"]) -> Float64[np.ndarray, "c r"]:
    return u.T.copy()


@outpace.optimize(workloads={"a": {"y": 32, "x": 32}}, split={"y": Pencil(), "x": Pencil()})
def spectrum(u: Complex128[np.ndarray, "y x"]) -> Complex128[np.ndarray, "y x"]:
    return np.fft.fft2(u)


@outpace.optimize(
    workloads={"a": {"n": 32, "m": 4}},
    split={"n": Block(minimum=3)},
    reduce={"out": Reduced()},
)
def column_sums(u: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "m"]:
    return np.sum(u, axis=0)


@outpace.optimize(
    workloads={"a": {"y": 32, "x": 32}},
    split={"y": Block(), "x": Block()},
    reduce={"out0": Reduced(Combination.MINIMUM), "out1": Reduced(Combination.SUM, False)},
    where="y >= 1 and x >= 1",
)
def least(u: Float64[np.ndarray, "y x"], k: Int64[np.ndarray, "y x"]) -> tuple[float, int]:
    return float(np.min(u)), int(np.sum(k))


def _pull(x, mass, softening):
    offset = x[None, :, :] - x[:, None, :]
    square = np.sum(offset * offset, axis=2) + softening * softening
    weight = mass / (square * np.sqrt(square))
    return np.sum(weight[:, :, None] * offset, axis=1)


@outpace.optimize(workloads={"a": {"n": 32, "steps": 3}}, split={"n": Ring()}, steps="steps")
def bodies(
    x: Float64[np.ndarray, "n 3"],
    v: Float64[np.ndarray, "n 3"],
    mass: Float64[np.ndarray, "n"],
    steps: int,
    dt: float,
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]]:
    x = x.copy()
    v = v.copy()
    a = _pull(x, mass, 0.1)
    for _ in range(steps):
        v = v + 0.5 * dt * a
        x = x + dt * v
        a = _pull(x, mass, 0.1)
        v = v + 0.5 * dt * a
    return x, v
