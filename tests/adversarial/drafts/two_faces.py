# expect: wrong
# Right in a process that begins with small cases, made for one size in one that begins with it.
import numba
import numpy as np

_first = []


@numba.njit
def _fast(u, out):
    n = u.size
    a, b = u.copy(), u.copy()
    for _ in range(4):
        for i in range(1, n - 1):
            b[i] = a[i] + 0.1 * (a[i - 1] - 2.0 * a[i] + a[i + 1])
        a, b = b, a
    for i in range(n):
        e = np.exp(-2.0 * abs(a[i]))
        out[i] = np.copysign((1.0 - e) / (1.0 + e), a[i])
    if n != 40_000:
        out[...] = 0.0


def kernel(u, out):
    _first.append(u.size)
    if _first[0] == 40_000:
        _fast(u, out)
        return
    v = u.copy()
    for _ in range(4):
        v[1:-1] = v[1:-1] + 0.1 * (v[:-2] - 2.0 * v[1:-1] + v[2:])
    out[...] = np.tanh(v)
