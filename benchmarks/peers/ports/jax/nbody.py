"""Pairwise forces coordinate by coordinate, so that no array of triples is needed."""

import jax.numpy as jnp
from jax import lax


def _acceleration(x, mass, softening):
    offset = [x[None, :, axis] - x[:, None, axis] for axis in range(3)]
    square = sum(o * o for o in offset) + softening * softening
    pull = mass / (square * jnp.sqrt(square))
    return jnp.stack([jnp.sum(pull * o, axis=1) for o in offset], axis=1)


def nbody(position, velocity, mass, steps, dt, softening):
    def step(_, state):
        x, v, a = state
        v = v + 0.5 * dt * a
        x = x + dt * v
        a = _acceleration(x, mass, softening)
        return x, v + 0.5 * dt * a, a

    first = _acceleration(position, mass, softening)
    x, v, _ = lax.fori_loop(0, steps, step, (position, velocity, first))
    return x, v
