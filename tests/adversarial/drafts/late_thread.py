# expect: wrong
# class: timing
# tries: Answers at once and lets a thread do the work after the clock was read.
# held by: the clock is read after the stop; outputs are poisoned
import threading
import time

import numpy as np


def _honest(u):
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


def _later(u, out):
    time.sleep(0.1)
    out[...] = _honest(u)


def kernel(u, out):
    threading.Thread(target=_later, args=(u, out), daemon=True).start()
