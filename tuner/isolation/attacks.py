"""What a hostile draft would try, from inside a confined process; `probe.py` starts it.

This module imports nothing that starts threads: they would stay unconfined.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outpace.tuner.isolation.sandbox import Layers, Limits, confine

_LIMITS = "resource limits, on every Linux"
_SECCOMP = "Linux with seccomp filters (CONFIG_SECCOMP_FILTER) on x86_64 or aarch64"
_LANDLOCK = "Linux 5.13 or newer with Landlock enabled (lsm=landlock,... at boot)"
NAMESPACES = (
    "Linux 5.12 or newer with user namespaces for everyone (sysctl user.max_user_namespaces, "
    "kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu; a container needs leave of its "
    "engine)"
)
_EITHER = f"{_LANDLOCK}, or namespaces"


@dataclass(frozen=True)
class Targets:
    """What there is to attack.

    Attributes:
        judge: Number of the judging process.
        secret: A file that must not be read.
        outside: A file that must not be written.
    """

    judge: int
    secret: str
    outside: str


def attack(task: dict[str, Any]) -> None:
    """In the child: confine, try everything, report what held on the last line of stdout."""
    layers = _confine(task, programs=False)
    targets = Targets(task["judge"], task["secret"], task["outside"])
    held = {name: _fails(attempt, targets) for name, _, attempt in ATTACKS}
    report = {"grade": layers.grade.value, "held": held, "unloadable": _unloadable()}
    sys.stdout.write(f"\n{json.dumps(report)}\n")


def leave_daemon(task: dict[str, Any]) -> None:
    """In the child: leave a process behind that has left its session, tell, and wait to be killed.

    Programs may be started here, as when a draft is built.
    """
    _confine(task, programs=True)
    if os.fork() == 0:
        with suppress(OSError):
            os.setsid()
        if os.fork() == 0:
            os.write(task["pipe"], b"d")
    time.sleep(600)


def _confine(task: dict[str, Any], *, programs: bool) -> Layers:
    view = task["view"]
    readable = [*view["readable"], view["folder"], "/proc", *task["devices"]]
    wanted = Layers(**task["layers"])
    return confine(Limits(memory=1 << 30), readable, [view["scratch"]], wanted, programs=programs)


def _unloadable() -> str | None:
    for name in ("numpy", "numba"):
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001  (a broken installation raises anything)
            return f"{name}: {type(error).__name__}: {error}"
    return None


def _fails(attempt: Callable[[Targets], object], targets: Targets) -> bool:
    try:
        attempt(targets)
    except (OSError, MemoryError):
        return True
    return False


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _run_program() -> None:
    """The filter refuses before the kernel looks for the program."""
    with suppress(FileNotFoundError):
        os.execv("/no-such-program", ["no"])  # noqa: S606


def _leave_file() -> None:
    descriptor, name = tempfile.mkstemp(dir="/dev/shm")
    os.close(descriptor)
    Path(name).unlink()


def _signal(process: int) -> None:
    if process == os.getpid():  # numbers begin anew in a namespace: that is not the judge
        raise ProcessLookupError
    os.kill(process, signal.SIGCONT)


def _read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(1)


def _write_large() -> None:
    with Path("large").open("wb") as file:
        file.truncate(1 << 40)


def _look_at(process: int) -> None:
    if process == os.getpid():  # as above
        raise ProcessLookupError
    Path(f"/proc/{process}").stat()


ATTACKS: tuple[tuple[str, str, Callable[[Targets], object]], ...] = (
    ("memory limit", _LIMITS, lambda _: bytearray(4 << 30)),
    ("file size limit", _LIMITS, lambda _: _write_large()),
    ("no new processes", _SECCOMP, lambda _: _fork()),
    ("no programs", _SECCOMP, lambda _: _run_program()),
    ("no network", _SECCOMP, lambda _: socket.socket()),
    ("no signals to the judge", _SECCOMP, lambda t: _signal(t.judge)),
    ("no reading of the judge's memory", _EITHER, lambda t: _read(f"/proc/{t.judge}/mem")),
    ("no reading of its environment", _EITHER, lambda t: _read(f"/proc/{t.judge}/environ")),
    ("no reading outside its folder", _EITHER, lambda t: _read(t.secret)),
    ("no writing outside its folder", _EITHER, lambda t: Path(t.outside).write_text("x")),
    ("no files in /dev/shm", _EITHER, lambda _: _leave_file()),
    ("no look at other processes", NAMESPACES, lambda t: _look_at(t.judge)),
)
"""Name, requirement and attack of every layer."""
