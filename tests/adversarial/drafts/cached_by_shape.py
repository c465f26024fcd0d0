# expect: wrong
# class: replay
# tries: Computes once for each shape and repeats the answer afterwards.
# held by: every timed output is verified
import numpy as np


def _honest(u):
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


_seen = {}


def kernel(u, out):
    if u.shape not in _seen:
        _seen[u.shape] = _honest(u)
    out[...] = _seen[u.shape]
