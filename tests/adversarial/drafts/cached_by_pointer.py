# expect: wrong
# class: replay
# tries: Computes once for each input address and repeats the answer afterwards.
# held by: buffers move, and are filled again where they lie
import numpy as np

_seen = {}


def _honest(u):
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


def kernel(u, out):
    key = (u.ctypes.data >> 16, u.size)
    if key not in _seen:
        _seen[key] = _honest(u)
    out[...] = _seen[key]
