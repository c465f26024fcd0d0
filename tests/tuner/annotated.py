"""References whose annotations are put to the test."""

import numpy as np
from jaxtyping import Complex128, Float64, Int64

from outpace.codegen.distributions import Integers, Uniform
from outpace.codegen.reference import Reference, ReferenceOptions


def referred(fn, sizes, **options):
    """A reference over named sizes."""
    return Reference(fn, ReferenceOptions(workloads={"w": sizes}, **options))


N = {"n": 500}
YX = {"y": 100, "x": 90}
NS = {"n": 500, "steps": 9}
YXS = {**YX, "steps": 9}


def five_point(u: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "y x"]:
    out = u.copy()
    out[1:-1, 1:-1] = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
    return out


def nine_point(u: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "y x"]:
    out = u.copy()
    out[1:-1, 1:-1] = u[:-2, :-2] + u[2:, 2:] - u[1:-1, 1:-1]
    return out


def knight(u: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "y x"]:
    """A diagonal read: two up, one along."""
    out = u.copy()
    out[2:, 1:] += u[:-2, :-1]
    return out


def upwind(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    out = u.copy()
    out[2:] = u[2:] - 0.5 * u[1:-1] + 0.25 * u[:-2]
    return out


def downwind(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    out = u.copy()
    out[:-2] = u[:-2] - 0.5 * u[2:]
    return out


def circular(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.roll(u, 1) - u


def circular_steps(u: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
    for _ in range(steps):
        u = u + 0.1 * (np.roll(u, 1) - 2 * u + np.roll(u, -1))
    return u.copy()


def smooth(u: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
    old = u.copy()
    for _ in range(steps):
        new = old.copy()
        new[1:-1] = 0.25 * (old[:-2] + 2 * old[1:-1] + old[2:])
        old = new
    return old


def smooth_in_place(u: Float64[np.ndarray, "n"], steps: int) -> None:
    for _ in range(steps):
        u[1:-1] = 0.25 * (u[:-2] + 2 * u[1:-1] + u[2:])


def swept(u: Float64[np.ndarray, "n"], steps: int, sweeps: int) -> Float64[np.ndarray, "n"]:
    """Each step adds what the sweeps make of the state."""
    state = u.copy()
    for _ in range(steps):
        change = np.sin(state)
        for _ in range(sweeps):
            change[1:-1] = 0.5 * (change[:-2] + change[2:])
        state = state + change
    return state


def ramped(u: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
    """Adds the number of the step, which starts anew in every call."""
    state = u.copy()
    for step in range(steps):
        state = 0.5 * state + step
    return state


def leapfrog(
    before: Float64[np.ndarray, "n"], now: Float64[np.ndarray, "n"], steps: int
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    a, b = before.copy(), now.copy()
    for _ in range(steps):
        c = 2 * b - a
        c[1:-1] += 0.1 * (b[2:] - 2 * b[1:-1] + b[:-2])
        a, b = b, c
    return a, b


def forced(
    force: Float64[np.ndarray, "n"], u: Float64[np.ndarray, "n"], steps: int
) -> tuple[Float64[np.ndarray, "n"], float]:
    """The state comes second, and a sum of it is returned too."""
    state = u.copy()
    for _ in range(steps):
        state = 0.5 * state + force
    return state, float(np.sum(state))


def relaxed(u: Float64[np.ndarray, "n"]) -> None:
    """Reads what it has written: every cell depends on all before it."""
    for i in range(1, u.size - 1):
        u[i] = 0.5 * (u[i - 1] + u[i + 1])


def padded(u: Float64[np.ndarray, "n+4"]) -> Float64[np.ndarray, "n"]:
    return u[:-4] - 4 * u[2:-2] + u[4:]


def staggered(
    flux: Float64[np.ndarray, "n+1"], u: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n"]:
    return u + flux[1:] - flux[:-1]


def one_sided(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Reads farther at one end than inside."""
    out = u.copy()
    out[1:-1] = u[:-2] + u[2:]
    if u.size > 2:
        out[0] = u[0] - u[2]
    return out


def rimmed(u: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
    """Holds two cells at each end."""
    old = u.copy()
    for _ in range(steps):
        new = old.copy()
        new[2:-2] = 0.25 * (old[1:-3] + 2 * old[2:-2] + old[3:-1])
        old = new
    return old


def rested(u: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
    """Does something else in every fifth step."""
    state = u.copy()
    for step in range(steps):
        state = state * (0.25 if step % 5 == 4 else 0.5)
    return state


def sourced(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Adds something in the middle."""
    out = 2 * u
    out[out.size // 2 : out.size // 2 + 1] += 1
    return out


def looked_up(u: Float64[np.ndarray, "n"], at: Int64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Reads where the values of an argument say."""
    return u[np.abs(at) % max(u.size, 1)]


def constant_field(sizes, rng):
    return {"u": np.ones(sizes["n"])}


def fourth_order(u: Float64[np.ndarray, "z y x"], steps: int) -> Float64[np.ndarray, "z y x"]:
    """Wide in three dims."""
    state = u.copy()
    for _ in range(steps):
        change = sum(np.roll(state, way, axis) for way in (-2, -1, 1, 2) for axis in range(3))
        state = 0.5 * state + 0.04 * change
    return state


def minus_mean(u: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "y x"]:
    return u - u.mean()


def over_largest(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return u / (1 + np.abs(u).max(initial=0))


def graded(u: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "y x"]:
    """Depends on positions."""
    return u * np.arange(u.shape[1])


def per_size(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return u / max(u.size, 1)


def prefix(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.cumsum(u)


def total(u: Float64[np.ndarray, "y x"]) -> float:
    return float(np.sum(u))


def whole_total(u: Int64[np.ndarray, "n"]) -> int:
    return int(np.sum(u))


def largest(u: Float64[np.ndarray, "n"]) -> float:
    return float(np.max(u))


def mean(u: Float64[np.ndarray, "n"]) -> float:
    return float(np.mean(u))


def row_sums(a: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "y"]:
    return a.sum(axis=1)


def column_sums(a: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "x"]:
    return a.sum(axis=0)


def transform(a: Complex128[np.ndarray, "y x"]) -> Complex128[np.ndarray, "y x"]:
    return np.fft.fft2(a)


def turned(a: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "x y"]:
    return a.T.copy()


def all_pairs(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.tanh(x[:, None] - x[None, :]).sum(axis=1)


def product(
    a: Float64[np.ndarray, "m k"], b: Float64[np.ndarray, "k n"]
) -> Float64[np.ndarray, "m n"]:
    return a @ b


def needy(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    if u.size == 1:
        raise ValueError
    return 2 * u


SMALL_INTEGERS = {"u": Integers(-9, 9)}
POSITIVE = {"u": Uniform(1, 2)}
