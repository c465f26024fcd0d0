"""Stencils of weather and climate models."""

import numpy as np
from jaxtyping import Float64

import outpace
from outpace import Block, Boundary, Uniform


@outpace.optimize(
    workloads={
        "small": {"I": 96, "J": 96, "K": 32},
        "large": {"I": 192, "J": 192, "K": 64},
    },
    inputs={"field": Uniform(-1, 1), "coeff": Uniform(0, 0.05)},
    split={"I": Block(halo=2), "J": Block(halo=2), "K": Block(halo=0)},
)
def hdiff(
    field: Float64[np.ndarray, "I+4 J+4 K"],
    coeff: Float64[np.ndarray, "I J K"],
) -> Float64[np.ndarray, "I J K"]:
    """Apply one step of limited fourth-order horizontal diffusion, level by level.

    With grid spacing 1, L the five-point Laplacian of the field f, and fluxes between neighbours::

        X(i+1/2, j) = L(i+1, j) - L(i, j)    or 0 where X * (f(i+1, j) - f(i, j)) > 0
        Y(i, j+1/2) = L(i, j+1) - L(i, j)    or 0 where Y * (f(i, j+1) - f(i, j)) > 0
        out(i, j) = f(i, j) - c(i, j) * (X(i+1/2, j) - X(i-1/2, j) + Y(i, j+1/2) - Y(i, j-1/2))

    The limiter drops every flux that points up the gradient, so that the fourth-order operator,
    which is not monotone by itself, cannot sharpen an extremum.

    Args:
        field: the quantity to diffuse, with two halo cells on each side of both horizontal axes;
            vertical levels last. Any unit.
        coeff: diffusion coefficient times time step over the fourth power of the grid spacing, so
            dimensionless; up to 1/64 cannot amplify a wave where the limiter is idle.

    Returns:
        The diffused field without its halo, float64, in the unit of `field`.

    References:
        G. Doms and M. Baldauf, "A Description of the Nonhydrostatic Regional COSMO-Model, Part I:
        Dynamics and Numerics", Deutscher Wetterdienst, chapter on horizontal diffusion.
        M. Xue, "High-Order Monotonic Numerical Diffusion and Smoothing", Monthly Weather Review
        128 (2000), 2853-2864.
    """
    laplacian = (
        field[2:, 1:-1]
        + field[:-2, 1:-1]
        + field[1:-1, 2:]
        + field[1:-1, :-2]
        - 4.0 * field[1:-1, 1:-1]
    )

    flux_x = laplacian[1:, 1:-1] - laplacian[:-1, 1:-1]
    slope_x = field[2:-1, 2:-2] - field[1:-2, 2:-2]
    flux_x = np.where(flux_x * slope_x > 0.0, 0.0, flux_x)

    flux_y = laplacian[1:-1, 1:] - laplacian[1:-1, :-1]
    slope_y = field[2:-2, 2:-1] - field[2:-2, 1:-2]
    flux_y = np.where(flux_y * slope_y > 0.0, 0.0, flux_y)

    divergence = flux_x[1:] - flux_x[:-1] + flux_y[:, 1:] - flux_y[:, :-1]
    return field[2:-2, 2:-2] - coeff * divergence


@outpace.optimize(
    workloads={
        "small": {"z": 32, "y": 32, "x": 32, "steps": 20},
        "large": {"z": 96, "y": 96, "x": 96, "steps": 20},
    },
    inputs={"temperature": Uniform(250, 310), "r": Uniform(0.05, 0.15)},
    split={"z": Block(halo=1), "y": Block(halo=1), "x": Block(halo=1)},
    steps="steps",
)
def heat_3d(
    temperature: Float64[np.ndarray, "z y x"],
    r: float,
    steps: int,
) -> Float64[np.ndarray, "z y x"]:
    """Advance the heat equation on a box by explicit Euler steps, boundary held fixed.

    One step at an interior point, the sum running over its six neighbours q::

        T'(p) = T(p) + r * (sum of T(q) - 6 * T(p)),    r = kappa * dt / h**2

    All right-hand sides of a step belong to the old time level. The scheme is stable, and obeys
    the maximum principle, for 0 <= r <= 1/6.

    Args:
        temperature: initial temperature on a uniform grid, its outermost layer being the boundary
            values; kelvin, or any unit. It is not changed.
        r: mesh Fourier number, dimensionless.
        steps: number of time steps.

    Returns:
        The temperature after `steps` steps, float64, a new array.

    References:
        K. W. Morton and D. F. Mayers, "Numerical Solution of Partial Differential Equations",
        2nd edition, Cambridge University Press 2005, chapter 3.
    """
    T = temperature.copy()
    for _ in range(steps):
        T[1:-1, 1:-1, 1:-1] = T[1:-1, 1:-1, 1:-1] + r * (
            T[2:, 1:-1, 1:-1]
            + T[:-2, 1:-1, 1:-1]
            + T[1:-1, 2:, 1:-1]
            + T[1:-1, :-2, 1:-1]
            + T[1:-1, 1:-1, 2:]
            + T[1:-1, 1:-1, :-2]
            - 6.0 * T[1:-1, 1:-1, 1:-1]
        )
    return T


@outpace.optimize(
    workloads={
        "small": {"n": 4096, "steps": 50},
        "large": {"n": 1048576, "steps": 20},
    },
    inputs={"q": Uniform(-1, 1), "courant": Uniform(0.1, 0.9)},
    split={"n": Block(halo=1, boundary=Boundary.PERIODIC)},
    steps="steps",
)
def advect_1d(
    q: Float64[np.ndarray, "n"],
    courant: float,
    steps: int,
) -> Float64[np.ndarray, "n"]:
    """Carry a tracer along a circle of latitude by the Lax-Wendroff scheme.

    With the Courant number C and cells counted round the circle::

        q'(i) = q(i) - C / 2 * (q(i+1) - q(i-1)) + C**2 / 2 * (q(i+1) - 2 * q(i) + q(i-1))

    The scheme is of second order, conserves the sum of q, and is stable for |C| <= 1.

    Args:
        q: the tracer in each cell; any unit. It is not changed.
        courant: C = u * dt / h, dimensionless.
        steps: number of time steps.

    Returns:
        The tracer after `steps` steps, float64, a new array.

    References:
        P. Lax and B. Wendroff, "Systems of Conservation Laws", Communications on Pure and Applied
        Mathematics 13 (1960), 217-237.
    """
    here = q.copy()
    for _ in range(steps):
        before, after = np.roll(here, 1, axis=0), np.roll(here, -1, axis=0)
        slope = after - before
        bend = after - 2.0 * here + before
        here = here - 0.5 * courant * slope + 0.5 * courant * courant * bend
    return here


@outpace.optimize(
    workloads={
        "small": {"z": 24, "y": 32, "x": 40, "steps": 10},
        "large": {"z": 96, "y": 96, "x": 96, "steps": 10},
    },
    inputs={"c": Uniform(0, 1), "r": Uniform(0.05, 0.15)},
    split={
        "z": Block(halo=1, boundary=Boundary.PERIODIC),
        "y": Block(halo=1, boundary=Boundary.PERIODIC),
        "x": Block(halo=1, boundary=Boundary.PERIODIC),
    },
    steps="steps",
)
def diffuse_3d(
    c: Float64[np.ndarray, "z y x"],
    r: float,
    steps: int,
) -> Float64[np.ndarray, "z y x"]:
    """Diffuse a concentration in a box that repeats itself in all directions.

    One explicit Euler step, the sum running over the six neighbours q of p, across the ends too::

        c'(p) = c(p) + r * (sum of c(q) - 6 * c(p)),    r = kappa * dt / h**2

    The scheme conserves the sum of c and is stable for 0 <= r <= 1/6.

    Args:
        c: initial concentration; any unit. It is not changed.
        r: mesh Fourier number, dimensionless.
        steps: number of time steps.

    Returns:
        The concentration after `steps` steps, float64, a new array.

    References:
        K. W. Morton and D. F. Mayers, "Numerical Solution of Partial Differential Equations",
        2nd edition, Cambridge University Press 2005, chapter 3.
    """
    old = c.copy()
    for _ in range(steps):
        around = np.roll(old, 1, axis=0) + np.roll(old, -1, axis=0)
        around = around + np.roll(old, 1, axis=1) + np.roll(old, -1, axis=1)
        around = around + np.roll(old, 1, axis=2) + np.roll(old, -1, axis=2)
        old = old + r * (around - 6.0 * old)
    return old
