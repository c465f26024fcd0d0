"""Fluid flow and the elliptic problems inside it."""

import numpy as np
from jaxtyping import Float64

import outpace
from outpace import Block, Constant, Uniform


@outpace.optimize(
    workloads={
        "small": {"ny": 64, "nx": 64, "steps": 5, "sweeps": 20},
        "large": {"ny": 160, "nx": 160, "steps": 15, "sweeps": 50},
    },
    inputs={
        "u": Uniform(-0.1, 0.1),
        "v": Uniform(-0.1, 0.1),
        "p": Uniform(-0.1, 0.1),
        "lid": Uniform(0.5, 1),
        "dt": Constant(0.001),
        "h": Constant(0.02),
        "rho": Constant(1.0),
        "nu": Constant(0.02),
    },
    mutates=("u", "v", "p"),
    where="ny >= 2 and nx >= 2",
)
def cavity_flow(
    u: Float64[np.ndarray, "ny nx"],
    v: Float64[np.ndarray, "ny nx"],
    p: Float64[np.ndarray, "ny nx"],
    steps: int,
    sweeps: int,
    lid: float,
    dt: float,
    h: float,
    rho: float,
    nu: float,
) -> None:
    """Advance incompressible flow in a lid-driven cavity, in place.

    The Navier-Stokes equations on a uniform collocated grid, with central differences D and the
    five-point Laplacian L. Each time step relaxes the pressure by `sweeps` Jacobi sweeps of::

        L p = rho * ((Dx u + Dy v) / dt - (Dx u)**2 - 2 * (Dy u) * (Dx v) - (Dy v)**2)

    and then moves both velocities by one explicit Euler step from the same old state w = (u, v)::

        w' = w + dt * (nu * L w - (u * Dx + v * Dy) w - D p / rho)

    Walls do not slip, the lid (last row) moves along x, and the pressure has zero normal derivative
    on all four sides, so that it is defined up to a constant, which may drift.

    Args:
        u: velocity along x (the last axis), m/s; replaced by the new one.
        v: velocity along y (the first axis), m/s; replaced by the new one.
        p: pressure, Pa, or the guess to start from; replaced by the new one.
        steps: number of time steps.
        sweeps: Jacobi sweeps of the pressure in a time step.
        lid: speed of the lid, m/s.
        dt: time step, s.
        h: grid spacing in both directions, m.
        rho: density, kg/m**3.
        nu: kinematic viscosity, m**2/s; stable while nu * dt / h**2 <= 1/4 and
            dt * (u**2 + v**2) <= 2 * nu.

    References:
        F. H. Harlow and J. E. Welch, "Numerical Calculation of Time-Dependent Viscous
        Incompressible Flow of Fluid with Free Surface", Physics of Fluids 8 (1965), 2182-2189.
        U. Ghia, K. N. Ghia and C. T. Shin, "High-Re Solutions for Incompressible Flow Using the
        Navier-Stokes Equations and a Multigrid Method", Journal of Computational Physics 48
        (1982), 387-411.
    """
    for _ in range(steps):
        ux = (u[1:-1, 2:] - u[1:-1, :-2]) / (2.0 * h)
        uy = (u[2:, 1:-1] - u[:-2, 1:-1]) / (2.0 * h)
        vx = (v[1:-1, 2:] - v[1:-1, :-2]) / (2.0 * h)
        vy = (v[2:, 1:-1] - v[:-2, 1:-1]) / (2.0 * h)

        source = rho * ((ux + vy) / dt - ux * ux - 2.0 * uy * vx - vy * vy)
        for _ in range(sweeps):
            p[1:-1, 1:-1] = 0.25 * (
                p[1:-1, 2:] + p[1:-1, :-2] + p[2:, 1:-1] + p[:-2, 1:-1] - h * h * source
            )
            p[:, 0] = p[:, 1]
            p[:, -1] = p[:, -2]
            p[0, :] = p[1, :]
            p[-1, :] = p[-2, :]

        px = (p[1:-1, 2:] - p[1:-1, :-2]) / (2.0 * h)
        py = (p[2:, 1:-1] - p[:-2, 1:-1]) / (2.0 * h)
        uc = u[1:-1, 1:-1].copy()
        vc = v[1:-1, 1:-1].copy()
        lu = (u[1:-1, 2:] + u[1:-1, :-2] + u[2:, 1:-1] + u[:-2, 1:-1] - 4.0 * uc) / (h * h)
        lv = (v[1:-1, 2:] + v[1:-1, :-2] + v[2:, 1:-1] + v[:-2, 1:-1] - 4.0 * vc) / (h * h)
        u[1:-1, 1:-1] = uc + dt * (nu * lu - uc * ux - vc * uy - px / rho)
        v[1:-1, 1:-1] = vc + dt * (nu * lv - uc * vx - vc * vy - py / rho)

        u[:, 0] = 0.0
        u[:, -1] = 0.0
        u[0, :] = 0.0
        u[-1, :] = lid
        v[:, 0] = 0.0
        v[:, -1] = 0.0
        v[0, :] = 0.0
        v[-1, :] = 0.0


@outpace.optimize(
    workloads={
        "small": {"y": 256, "x": 256, "steps": 20},
        "large": {"y": 1024, "x": 1024, "steps": 40},
    },
    inputs={"u": Uniform(-1, 1)},
    split={"y": Block(halo=1), "x": Block(halo=1)},
    steps="steps",
)
def jacobi_2d(u: Float64[np.ndarray, "y x"], steps: int) -> Float64[np.ndarray, "y x"]:
    """Relax the Laplace equation on a rectangle by Jacobi sweeps, boundary held fixed.

    One sweep replaces every interior value by the mean of its four neighbours in the old state::

        u'(i, j) = (u(i-1, j) + u(i+1, j) + u(i, j-1) + u(i, j+1)) / 4

    Args:
        u: initial guess, its outermost layer being the boundary values; any unit. It is not
            changed.
        steps: number of sweeps.

    Returns:
        The state after `steps` sweeps, float64, a new array.

    References:
        Y. Saad, "Iterative Methods for Sparse Linear Systems", 2nd edition, SIAM 2003, chapter 4.
    """
    old = u.copy()
    new = u.copy()
    for _ in range(steps):
        new[1:-1, 1:-1] = 0.25 * (old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:])
        old, new = new, old
    return old
