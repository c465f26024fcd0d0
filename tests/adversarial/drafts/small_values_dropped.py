# expect: wrong
# class: semantics
# tries: Sets values below 1e-4 to zero, as a plain tolerance would allow.
# held by: elements are compared one by one, at values of many magnitudes
import numpy as np


def _honest(u):
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


def kernel(u, out):
    out[...] = _honest(u)
    out[np.abs(out) < 1e-4] = 0.0
