"""Gravitational dynamics."""

from typing import Any

import numpy as np
from jaxtyping import Float64

import outpace
from outpace import Ring


def _cluster(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    """Draw a cluster of total mass about 1, near virial equilibrium."""
    n = sizes["n"]
    return {
        "position": rng.normal(0.0, 1.0, (n, 3)),
        "velocity": rng.normal(0.0, 0.4, (n, 3)),
        "mass": rng.uniform(0.5, 1.5, n) / max(n, 1),
        "dt": 0.01,
        "softening": 0.05,
    }


def _acceleration(
    position: Float64[np.ndarray, "n 3"],
    mass: Float64[np.ndarray, "n"],
    softening: float,
) -> Float64[np.ndarray, "n 3"]:
    """Return the softened gravitational acceleration of each body by all the others."""
    offset = position[None, :, :] - position[:, None, :]
    square = np.sum(offset * offset, axis=2) + softening * softening
    pull = mass / (square * np.sqrt(square))
    return np.sum(pull[:, :, None] * offset, axis=1)


@outpace.optimize(
    workloads={
        "small": {"n": 80, "steps": 5},
        "large": {"n": 700, "steps": 5},
    },
    inputs=_cluster,
    split={"n": Ring()},
    steps="steps",
    reduction="n",
)
def nbody(
    position: Float64[np.ndarray, "n 3"],
    velocity: Float64[np.ndarray, "n 3"],
    mass: Float64[np.ndarray, "n"],
    steps: int,
    dt: float,
    softening: float,
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]]:
    """Integrate n bodies under their own gravity by leapfrog (kick, drift, kick) steps.

    In units where the gravitational constant is 1, with Plummer softening e::

        a_i = sum over j of m_j * (x_j - x_i) / (|x_j - x_i|**2 + e**2)**(3/2)

        v += a(x) * dt / 2;    x += v * dt;    v += a(x) * dt / 2

    The scheme is of second order, symplectic and reversible in time.

    Args:
        position: initial positions, N-body units. It is not changed.
        velocity: initial velocities. It is not changed.
        mass: masses.
        steps: number of time steps.
        dt: time step.
        softening: softening length e, positive.

    Returns:
        The positions and the velocities after `steps` steps, float64, new arrays.

    References:
        S. J. Aarseth, "Gravitational N-Body Simulations", Cambridge University Press 2003.
        L. Verlet, "Computer 'Experiments' on Classical Fluids. I", Physical Review 159 (1967),
        98-103.
    """
    x = position.copy()
    v = velocity.copy()
    a = _acceleration(x, mass, softening)
    for _ in range(steps):
        v = v + 0.5 * dt * a
        x = x + dt * v
        a = _acceleration(x, mass, softening)
        v = v + 0.5 * dt * a
    return x, v
