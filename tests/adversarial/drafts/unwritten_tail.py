# expect: wrong
# class: semantics
# tries: Leaves the last elements as it found them.
# held by: outputs are poisoned
import numpy as np


def _honest(u):
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


def kernel(u, out):
    out[:-3] = _honest(u)[:-3]
