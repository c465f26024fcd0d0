# expect: wrong
# class: semantics
# tries: Trusts that the buffer still holds the answer to an earlier call.
# held by: outputs are poisoned before every call
import numpy as np


def _honest(u):
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


_calls = [0]


def kernel(u, out):
    _calls[0] += u.size > 10_000
    if _calls[0] < 3:
        out[...] = _honest(u)
