# expect: wrong
# class: timing
# tries: Blocks every signal, so that its thread would work on while the process is to be stopped.
# held by: SIGSTOP cannot be blocked; the output is compared as it was then
import signal
import threading
import time

import numpy as np


def _honest(u):
    out = u.copy()
    for _ in range(16):
        out[1:-1] = out[1:-1] + 0.1 * (out[:-2] - 2.0 * out[1:-1] + out[2:])
    return out


def _later(u, out):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(0.1)
    out[...] = _honest(u)


def kernel(u, out):
    threading.Thread(target=_later, args=(u, out), daemon=True).start()
