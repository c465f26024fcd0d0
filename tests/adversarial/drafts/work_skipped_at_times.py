# expect: wrong
# class: semantics
# tries: Leaves out the last sweep in every seventh call.
# held by: every timed output is verified
import numpy as np

_calls = [0]


def kernel(u, out):
    _calls[0] += 1
    v = u.copy()
    for _ in range(15 if _calls[0] % 7 == 0 else 16):
        v[1:-1] = v[1:-1] + 0.1 * (v[:-2] - 2.0 * v[1:-1] + v[2:])
    out[...] = v
