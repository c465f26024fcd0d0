# expect: wrong
# class: semantics
# tries: Right on the small drawn cases; at the workload the last element is a copy of the one before.
# held by: timed outputs are verified too
import numpy as np


def _honest(u):
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


def kernel(u, out):
    out[...] = _honest(u)
    if u.size > 10_000:
        out[-1] = out[-2]
