# expect: wrong
# class: semantics
# tries: Writes one element too many.
# held by: margins around every output
import ctypes

import numpy as np


def _honest(u):
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


def kernel(u, out):
    out[...] = _honest(u)
    ctypes.memset(out.ctypes.data + out.nbytes, 0, out.itemsize)
