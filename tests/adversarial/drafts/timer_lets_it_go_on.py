# expect: blocked
# class: timing
# tries: Has a timer of the kernel let the stopped process go on and finish.
# held by: seccomp refuses timers; results are read only while the process is stopped
import ctypes
import signal

import numpy as np


class _Event(ctypes.Structure):
    _fields_ = [
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("room", ctypes.c_char * 48),
    ]


def kernel(u, out):
    libc = ctypes.CDLL(None, use_errno=True)
    event, timer = _Event(None, signal.SIGCONT, 0), ctypes.c_void_p()
    if libc.timer_create(1, ctypes.byref(event), ctypes.byref(timer)) != 0:
        raise PermissionError(ctypes.get_errno(), "timer_create")
    libc.timer_settime(timer, 0, (ctypes.c_long * 4)(0, 0, 0, 300_000), None)
    out[...] = u
