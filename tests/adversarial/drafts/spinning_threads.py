# expect: not-faster
# class: timing
# tries: Keeps threads busy, so that the reference gets a share of the cores only.
# held by: all threads are stopped while the reference runs
import threading

import numba
import numpy as np


def _honest(u):
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


@numba.njit("int64(int64)", nogil=True)
def _spin(n):
    while n >= 0:
        n = (n * 5 + 1) & 0xFFFF
    return n


def kernel(u, out):
    if u.size > 10_000 and threading.active_count() == 1:
        for _ in range(2):
            threading.Thread(target=_spin, args=(1,), daemon=True).start()
    out[...] = _honest(u)
