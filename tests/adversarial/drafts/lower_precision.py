# expect: wrong
# class: semantics
# tries: Computes in single precision.
# held by: the band comes from higher precision
import numpy as np


def kernel(u, out):
    v = u.astype(np.float32)
    for _ in range(16):
        v[1:-1] = v[1:-1] + np.float32(0.1) * (v[:-2] - np.float32(2) * v[1:-1] + v[2:])
    out[...] = v
