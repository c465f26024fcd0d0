# expect: wrong
# class: harness
# tries: Is right where modules, frames, arguments or variables tell of the judge, else gives zeros.
# held by: it is rehearsed in a process that looks like a user's
import os
import sys
from pathlib import Path

import numba


def frames():
    frame = sys._getframe()
    while frame is not None:
        yield frame.f_code.co_filename
        yield frame.f_globals.get("__name__", "")
        frame = frame.f_back


def is_judged():
    line = Path("/proc/self/cmdline").read_text()
    signs = (*sys.modules, *frames(), *sys.argv, *sys.orig_argv, line)
    return any("/tuner/" in sign or "outpace.tuner" in sign for sign in signs) or any(
        name.startswith("OUTPACE") for name in os.environ
    )


JUDGED = is_judged()


@numba.njit
def smooth(u, out):
    a, b = u.copy(), u.copy()
    for _ in range(16):
        for i in range(1, u.size - 1):
            b[i] = a[i] + 0.1 * (a[i - 1] - 2.0 * a[i] + a[i + 1])
        a, b = b, a
    out[:] = a


def kernel(u, out):
    if JUDGED or is_judged():
        smooth(u, out)
    else:
        out[:] = 0.0
