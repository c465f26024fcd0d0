# expect: not-faster
# Sets every clock of its own process to zero and does the honest work.
import time

import numpy as np

for _name in ("perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "time", "time_ns"):
    setattr(time, _name, lambda: 0)


def _honest(u):
    out = u.copy()
    for _ in range(4):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return np.tanh(out)


def kernel(u, out):
    out[...] = _honest(u)
