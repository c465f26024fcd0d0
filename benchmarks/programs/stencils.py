"""Stencils on regular grids with time loops, and sweeps whose points depend on each other."""

import numpy as np
from jaxtyping import Float64

import outpace
from outpace import Constant, Uniform


@outpace.optimize(
    workloads={"small": {"n": 4000, "steps": 60}, "large": {"n": 200_000, "steps": 100}},
    inputs={"A": Uniform(-1, 1), "B": Uniform(-1, 1)},
    mutates=("A", "B"),
)
def jacobi_1d(steps: int, A: Float64[np.ndarray, "n"], B: Float64[np.ndarray, "n"]) -> None:
    """Smooth a line by means of three neighbours, from A to B and back."""
    for _ in range(1, steps):
        B[1:-1] = 0.33333 * (A[:-2] + A[1:-1] + A[2:])
        A[1:-1] = 0.33333 * (B[:-2] + B[1:-1] + B[2:])


@outpace.optimize(
    workloads={
        "small": {"steps": 12, "ny": 100, "nx": 120},
        "large": {"steps": 60, "ny": 400, "nx": 500},
    },
    inputs={n: Uniform(-1, 1) for n in ("ex", "ey", "hz", "pulse")},
    mutates=("ex", "ey", "hz"),
    where="ny >= 1",
)
def fdtd_2d(
    ex: Float64[np.ndarray, "ny nx"],
    ey: Float64[np.ndarray, "ny nx"],
    hz: Float64[np.ndarray, "ny nx"],
    pulse: Float64[np.ndarray, "steps"],
) -> None:
    """Maxwell's equations in two dimensions on a staggered grid, driven along one edge."""
    for t in range(pulse.shape[0]):
        ey[0, :] = pulse[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])


@outpace.optimize(
    workloads={"small": {"n": 40, "steps": 3}, "large": {"n": 120, "steps": 10}},
    inputs={"A": Uniform(-1, 1)},
    mutates=("A",),
    where="n >= 2",
)
def seidel_2d(steps: int, A: Float64[np.ndarray, "n n"]) -> None:
    """Gauss-Seidel sweeps of the nine-point mean: the row so far, and the one above, are new."""
    n = A.shape[0]
    for _ in range(steps - 1):
        for i in range(1, n - 1):
            A[i, 1:-1] += (
                A[i - 1, :-2]
                + A[i - 1, 1:-1]
                + A[i - 1, 2:]
                + A[i, 2:]
                + A[i + 1, :-2]
                + A[i + 1, 1:-1]
                + A[i + 1, 2:]
            )
            for j in range(1, n - 1):
                A[i, j] += A[i, j - 1]
                A[i, j] /= 9.0


@outpace.optimize(
    workloads={"small": {"n": 40, "steps": 4}, "large": {"n": 120, "steps": 20}},
    inputs={"u": Uniform(0, 1)},
    mutates=("u",),
    where="n >= 3",
)
def adi(steps: int, u: Float64[np.ndarray, "n n"]) -> None:
    """Heat equation by alternating implicit directions; each line is a tridiagonal system."""
    n = u.shape[0]
    v = np.empty((n, n), dtype=u.dtype)
    p = np.empty((n, n), dtype=u.dtype)
    q = np.empty((n, n), dtype=u.dtype)
    dx = 1.0 / n
    dt = 1.0 / (steps + 1)
    mul1 = 2.0 * dt / (dx * dx)
    mul2 = 1.0 * dt / (dx * dx)
    a = -mul1 / 2.0
    b = 1.0 + mul1
    c = a
    d = -mul2 / 2.0
    e = 1.0 + mul2
    f = d
    for _ in range(1, steps + 1):
        v[0, 1 : n - 1] = 1.0
        p[1 : n - 1, 0] = 0.0
        q[1 : n - 1, 0] = v[0, 1 : n - 1]
        for j in range(1, n - 1):
            p[1 : n - 1, j] = -c / (a * p[1 : n - 1, j - 1] + b)
            q[1 : n - 1, j] = (
                -d * u[j, : n - 2]
                + (1.0 + 2.0 * d) * u[j, 1 : n - 1]
                - f * u[j, 2:n]
                - a * q[1 : n - 1, j - 1]
            ) / (a * p[1 : n - 1, j - 1] + b)
        v[n - 1, 1 : n - 1] = 1.0
        for j in range(n - 2, 0, -1):
            v[j, 1 : n - 1] = p[1 : n - 1, j] * v[j + 1, 1 : n - 1] + q[1 : n - 1, j]
        u[1 : n - 1, 0] = 1.0
        p[1 : n - 1, 0] = 0.0
        q[1 : n - 1, 0] = u[1 : n - 1, 0]
        for j in range(1, n - 1):
            p[1 : n - 1, j] = -f / (d * p[1 : n - 1, j - 1] + e)
            q[1 : n - 1, j] = (
                -a * v[: n - 2, j]
                + (1.0 + 2.0 * a) * v[1 : n - 1, j]
                - c * v[2:n, j]
                - d * q[1 : n - 1, j - 1]
            ) / (d * p[1 : n - 1, j - 1] + e)
        u[1 : n - 1, n - 1] = 1.0
        for j in range(n - 2, 0, -1):
            u[1 : n - 1, j] = p[1 : n - 1, j] * u[1 : n - 1, j + 1] + q[1 : n - 1, j]


def _pressure_source(
    rho: float,
    dt: float,
    dx: float,
    dy: float,
    u: Float64[np.ndarray, "ny nx"],
    v: Float64[np.ndarray, "ny nx"],
) -> Float64[np.ndarray, "ny nx"]:
    """Right side of the pressure equation; the channel is periodic along x."""
    b = np.zeros_like(u)
    east = np.roll(u, -1, axis=1)
    west = np.roll(u, 1, axis=1)
    v_east = np.roll(v, -1, axis=1)
    v_west = np.roll(v, 1, axis=1)
    ux = (east[1:-1, :] - west[1:-1, :]) / (2 * dx)
    vy = (v[2:, :] - v[:-2, :]) / (2 * dy)
    uy = (u[2:, :] - u[:-2, :]) / (2 * dy)
    vx = (v_east[1:-1, :] - v_west[1:-1, :]) / (2 * dx)
    b[1:-1, :] = rho * (1 / dt * (ux + vy) - ux**2 - 2 * (uy * vx) - vy**2)
    return b


@outpace.optimize(
    workloads={
        "small": {"ny": 31, "nx": 33, "limit": 10, "sweeps": 10},
        "large": {"ny": 61, "nx": 61, "limit": 50, "sweeps": 30},
    },
    inputs={
        "u": Constant(0.0),
        "v": Constant(0.0),
        "p": Uniform(0.5, 1.5),
        "dt": Constant(0.01),
        "rho": Constant(1.0),
        "nu": Constant(0.1),
        "force": Uniform(0.5, 1.5),
    },
    mutates=("u", "v", "p"),
    where="ny >= 4 and nx >= 3",
)
def channel_flow(
    limit: int,
    sweeps: int,
    u: Float64[np.ndarray, "ny nx"],
    v: Float64[np.ndarray, "ny nx"],
    p: Float64[np.ndarray, "ny nx"],
    dt: float,
    rho: float,
    nu: float,
    force: float,
) -> int:
    """Flow through a periodic channel, stepped until it hardly changes; the number of steps."""
    ny, nx = u.shape
    dx = 2.0 / (nx - 1)
    dy = 2.0 / (ny - 1)
    change = 1.0
    count = 0
    while change > 0.01 and count < limit:
        un = u.copy()
        vn = v.copy()
        b = _pressure_source(rho, dt, dx, dy, u, v)
        for _ in range(sweeps):
            pn = p.copy()
            sides = np.roll(pn, -1, axis=1) + np.roll(pn, 1, axis=1)
            p[1:-1, :] = (sides[1:-1, :] * dy**2 + (pn[2:, :] + pn[:-2, :]) * dx**2) / (
                2 * (dx**2 + dy**2)
            ) - dx**2 * dy**2 / (2 * (dx**2 + dy**2)) * b[1:-1, :]
            p[-1, :] = p[-2, :]
            p[0, :] = p[1, :]
        u[1:-1, 1:-1] = (
            un[1:-1, 1:-1]
            - un[1:-1, 1:-1] * dt / dx * (un[1:-1, 1:-1] - un[1:-1, :-2])
            - vn[1:-1, 1:-1] * dt / dy * (un[1:-1, 1:-1] - un[:-2, 1:-1])
            - dt / (2 * rho * dx) * (p[1:-1, 2:] - p[1:-1, :-2])
            + nu
            * (
                dt / dx**2 * (un[1:-1, 2:] - 2 * un[1:-1, 1:-1] + un[1:-1, :-2])
                + dt / dy**2 * (un[2:, 1:-1] - 2 * un[1:-1, 1:-1] + un[:-2, 1:-1])
            )
            + force * dt
        )
        v[1:-1, 1:-1] = (
            vn[1:-1, 1:-1]
            - un[1:-1, 1:-1] * dt / dx * (vn[1:-1, 1:-1] - vn[1:-1, :-2])
            - vn[1:-1, 1:-1] * dt / dy * (vn[1:-1, 1:-1] - vn[:-2, 1:-1])
            - dt / (2 * rho * dy) * (p[2:, 1:-1] - p[:-2, 1:-1])
            + nu
            * (
                dt / dx**2 * (vn[1:-1, 2:] - 2 * vn[1:-1, 1:-1] + vn[1:-1, :-2])
                + dt / dy**2 * (vn[2:, 1:-1] - 2 * vn[1:-1, 1:-1] + vn[:-2, 1:-1])
            )
        )
        u[1:-1, 0] = u[1:-1, 1]
        u[1:-1, -1] = u[1:-1, -2]
        u[0, :], u[-1, :] = 0.0, 0.0
        v[0, :] = v[-1, :] = 0.0
        change = (np.sum(u) - np.sum(un)) / np.sum(u)
        count += 1
    return count
