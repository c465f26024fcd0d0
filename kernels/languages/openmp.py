"""GNU's OpenMP runtime, loaded so that its threads wait politely.

Left alone, a thread of a pool that has nothing to do spins for milliseconds. Where another process
needs its core, the thread that it waits for cannot run, and a kernel of half a millisecond takes
several. Threads that spin for some tens of microseconds and sleep then are as fast on a quiet
machine and hardly slower on a busy one; `benchmarks/threads.py` measures both. Kernels are judged
with the same setting.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import lru_cache

from outpace import environment

SPINS = 3000
"""How often a thread looks for work before it sleeps; some tens of microseconds in all."""


@lru_cache(maxsize=1)
def load_runtime() -> None:
    """Load the runtime before a kernel does; nothing happens where it is absent, or loaded already.

    Whoever sets OMP_WAIT_POLICY or GOMP_SPINCOUNT is obeyed. It reads them once, when it is loaded,
    so that the variable does not stay in the environment.
    """
    with environment.spinning(SPINS), suppress(OSError):
        ctypes.CDLL("libgomp.so.1")
