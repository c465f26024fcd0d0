# expect: wrong
# class: replay
# tries: Recognises inputs that it has seen by a fingerprint of their content.
# held by: some timed inputs differ from the last ones in one element
import numpy as np

_seen = {}


def _honest(u):
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


def kernel(u, out):
    key = (u.size, u[: 8].tobytes(), u[-8:].tobytes())
    if key not in _seen:
        _seen[key] = _honest(u)
    out[...] = _seen[key]
