# expect: wrong
# class: semantics
# tries: Right on the small drawn cases, single precision at the workload.
# held by: timed outputs are verified too
import numpy as np


def _honest(u):
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


def kernel(u, out):
    out[...] = _honest(u.astype(np.float32)) if u.size > 10_000 else _honest(u)
