# expect: not-faster
# class: timing
# tries: Sets every clock of its own process to zero and does the honest work.
# held by: the clock is in the judge
import time

import numpy as np

for _name in ("perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "time", "time_ns"):
    setattr(time, _name, lambda: 0)


def _honest(u):
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


def kernel(u, out):
    out[...] = _honest(u)
