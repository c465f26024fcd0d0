"""Vertical advection: coefficients of all levels at once, the Thomas algorithm by two scans."""

import jax.numpy as jnp
from jax import lax


def vadv(utens_stage, u_stage, wcon, u_pos, utens, dtr_stage):
    g, u, position, tendency, stage = (
        jnp.moveaxis(array, -1, 0)
        for array in (0.25 * (wcon[1:] + wcon[:-1]), u_stage, u_pos, utens, utens_stage)
    )
    zero = jnp.zeros_like(g[:1])
    lower = jnp.concatenate((zero, -0.5 * g[1:]))
    upper = jnp.concatenate((0.5 * g[1:], zero))
    below = jnp.concatenate((zero, u[:-1] - u[1:]))
    above = jnp.concatenate((u[1:] - u[:-1], zero))
    right = dtr_stage * position + tendency + stage - lower * below - upper * above
    diagonal = dtr_stage - lower - upper

    def eliminate(last, level):
        last_c, last_d = last
        a, b, c, d = level
        divided = 1.0 / (b - last_c * a)
        now = (c * divided, (d - last_d * a) * divided)
        return now, now

    def substitute(above, level):
        c, d = level
        x = d - c * above
        return x, x

    start = jnp.zeros_like(g[0])
    _, columns = lax.scan(eliminate, (start, start), (lower, diagonal, upper, right))
    _, x = lax.scan(substitute, start, columns, reverse=True)
    return jnp.moveaxis(dtr_stage * (x - position), 0, -1)
