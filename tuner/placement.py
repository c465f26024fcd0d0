"""Which cores the threads of a timed process wake on.

The threads of a stopped process wake all at once, when the one that times it still has a core of
its own, and the system puts them beside each other on what is left. They stay there for some
milliseconds, so that a kernel on two threads was timed as if it had one, or slower, where threads
waited for each other; in a process that is not stopped they find the free core long before. So the
first core is for the thread that calls: it wakes there, and the threads of pools are kept off it,
and the one that times too. Before that all cores are kept busy for a moment. All contenders are
treated alike. See `benchmarks/threads.py`.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

AWAKE_SECONDS = 3e-3
"""How long all cores are busy before the clock runs."""
_WORK = bytes(256 << 10)


def wake_cores(count: int) -> None:
    """Keep so many cores busy for a moment, so that none has to wake up while the clock runs.

    A core that has slept takes its time to clock up, and a hypervisor may have two that wake share
    one core of its machine for milliseconds.
    """
    until = time.perf_counter() + AWAKE_SECONDS
    cores = sorted(os.sched_getaffinity(0))[:count]
    busy = [Thread(target=_work_on, args=(core, until), daemon=True) for core in cores]
    for thread in busy:
        thread.start()
    for thread in busy:
        thread.join()


def _work_on(core: int, until: float) -> None:
    _allow(0, {core})
    while time.perf_counter() < until:
        hashlib.sha256(_WORK).digest()  # does not hold the interpreter's lock


@contextmanager
def spread(pid: int) -> Iterator[Callable[[], None]]:
    """Have a stopped process wake with its first thread on the first core, and all others off it.

    The calling thread stays off that core, too. What is yielded is to be called when the process
    has been woken: from then on its first thread may run anywhere, and so may threads that it
    starts. These are found when it is let go the next time.

    Args:
        pid: The process. One that has ended, or has one core, is left as it is.
    """
    cores = _allowed(pid)
    if len(cores) < 2:
        with aside():
            yield lambda: None
        return
    first = {min(cores)}
    for thread in threads_of(pid):
        _allow(thread, first if thread == pid else cores - first)
    try:
        with aside():
            yield lambda: _allow(pid, cores)
    finally:
        _allow(pid, cores)


def _allowed(pid: int) -> set[int]:
    """Cores on which a process may run; none if it has ended."""
    with suppress(OSError):
        return os.sched_getaffinity(pid)
    return set()


def _allow(thread: int, cores: set[int]) -> None:
    with suppress(OSError):
        os.sched_setaffinity(thread, cores)


@contextmanager
def aside() -> Iterator[None]:
    """Keep the calling thread off the first core."""
    cores = os.sched_getaffinity(0)
    if len(cores) == 1:
        yield
        return
    os.sched_setaffinity(0, cores - {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def on_one_core() -> Iterator[None]:
    """Processes that are started meanwhile have the first core alone, and see no other."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def pin(pid: int, place: int) -> None:
    """Keep a process with all its threads, now and later, on one of the allowed cores.

    Args:
        pid: The process.
        place: Which core, counted from the first; after the last comes the first again.
    """
    cores = sorted(os.sched_getaffinity(0))
    for thread in threads_of(pid):
        _allow(thread, {cores[place % len(cores)]})


def stay() -> None:
    """Keep this process on the core where it is; for threads of which only one runs at a time.

    To wake one on another core takes longer than what it does in its turn.
    """
    # proc(5): the state follows the name, which may hold anything in parentheses; field 39 is the
    # core.
    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
    _allow(0, {int(fields.rpartition(") ")[2].split()[36])})


def threads_of(pid: int) -> list[int]:
    """Of a process; none if it has ended."""
    with suppress(OSError):
        return [int(thread) for thread in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208
    return []
