# expect: wrong
# Computes once for each input address and repeats the answer afterwards.
import numpy as np

_seen = {}


def _honest(u):
    out = u.copy()
    for _ in range(4):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return np.tanh(out)


def kernel(u, out):
    key = (u.ctypes.data >> 16, u.size)
    if key not in _seen:
        _seen[key] = _honest(u)
    out[...] = _seen[key]
