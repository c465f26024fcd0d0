"""Probing the sandbox by trying to break it: each layer is attacked from inside.

A child confines itself as a draft's process does and then tries what a hostile draft would. A layer
counts as active only if the attempt failed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from outpace.model import Grade
from outpace.tuner.sandbox import Limits, confine

_SPAWN = "import sys; sys.path[:] = {path!r}; from outpace.tuner import probe; probe.attack({args})"
_SECCOMP = "Linux with seccomp filters (CONFIG_SECCOMP_FILTER) on x86_64 or aarch64"
_LANDLOCK = "Linux 5.13 or newer with Landlock enabled (lsm=landlock,... at boot)"


@dataclass(frozen=True)
class Layer:
    """One layer of isolation.

    Attributes:
        name: What it prevents.
        active: Whether the attempt failed.
        hint: What it needs.
    """

    name: str
    active: bool
    hint: str


@dataclass(frozen=True)
class Probing:
    """All layers, and the grade that a draft's process reports."""

    grade: Grade
    layers: tuple[Layer, ...]


def probe() -> Probing:
    """Attack a confined child of this process; takes about 0.2 s."""
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile() as outside:
        arguments = f"{folder!r}, {os.getpid()}, {outside.name!r}"
        answer = subprocess.run(
            [sys.executable, "-I", "-c", _SPAWN.format(path=sys.path, args=arguments)],
            capture_output=True,
            check=False,
            timeout=60,
        )
    try:
        found = json.loads(answer.stdout)
    except ValueError:
        found = {"grade": "D", "held": {}}
    held = found["held"]
    return Probing(
        Grade(found["grade"]),
        tuple(Layer(name, held.get(name) is True, hint) for name, hint, _ in _attempts()),
    )


def attack(folder: str, judge: int, outside: str) -> None:
    """In the child: confine, try everything, report what held on stdout."""
    grade = confine(Limits(memory=1 << 30), Path(folder))
    held = {name: _fails(attempt, judge, outside) for name, _, attempt in _attempts()}
    sys.stdout.write(json.dumps({"grade": grade.value, "held": held}))


def _fails(attempt: Callable[[int, str], object], judge: int, outside: str) -> bool:
    try:
        attempt(judge, outside)
    except (OSError, MemoryError):
        return True
    return False


def _attempts() -> tuple[tuple[str, str, Callable[[int, str], object]], ...]:
    """Name, requirement and attack of every layer."""
    return (
        ("memory limit", "RLIMIT_DATA, on every Linux", lambda *_: bytearray(4 << 30)),
        ("no new processes", _SECCOMP, lambda *_: _fork()),
        ("no programs", _SECCOMP, lambda *_: _run_program()),
        ("no network", _SECCOMP, lambda *_: socket.socket()),
        ("no signals to the judge", _SECCOMP, lambda judge, _: os.kill(judge, signal.SIGCONT)),
        ("no reading of the judge's memory", _LANDLOCK, lambda judge, _: _read_memory(judge)),
        ("no writing outside its folder", _LANDLOCK, lambda _, path: Path(path).write_text("x")),
    )


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _run_program() -> None:
    os.execv("/bin/true", ["true"])  # noqa: S606  (must not be reached)


def _read_memory(judge: int) -> bytes:
    with Path(f"/proc/{judge}/mem").open("rb") as memory:
        return memory.read(0)
