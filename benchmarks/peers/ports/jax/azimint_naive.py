"""One pass: the ring of each point by bisection, then sums by ring."""

import jax
import jax.numpy as jnp


def azimint_naive(data, radius, npt):
    edges = radius.max() * jnp.arange(npt + 1) / npt
    ring = jnp.searchsorted(edges, radius, side="right") - 1
    total = jax.ops.segment_sum(data, ring, num_segments=npt)
    count = jax.ops.segment_sum(jnp.ones_like(data), ring, num_segments=npt)
    return total / count
