"""One loop over the intermediate nodes."""

import jax.numpy as jnp
from jax import lax


def floyd_warshall(path):
    def through(k, path):
        return jnp.minimum(path, path[:, k, None] + path[None, k, :])

    return lax.fori_loop(0, path.shape[0], through, path)
