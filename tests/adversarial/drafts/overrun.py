# expect: wrong
# Writes one element too many.
import ctypes

import numpy as np


def _honest(u):
    out = u.copy()
    for _ in range(4):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return np.tanh(out)


def kernel(u, out):
    out[...] = _honest(u)
    ctypes.memset(out.ctypes.data + out.nbytes, 0, out.itemsize)
