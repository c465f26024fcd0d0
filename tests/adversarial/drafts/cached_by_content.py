# expect: not-faster
# Recognises inputs that it has seen by a fingerprint of their content.
import numpy as np

_seen = {}


def _honest(u):
    out = u.copy()
    for _ in range(4):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return np.tanh(out)


def kernel(u, out):
    key = (u.size, u[: 8].tobytes(), u[-8:].tobytes())
    if key not in _seen:
        _seen[key] = _honest(u)
    out[...] = _seen[key]
