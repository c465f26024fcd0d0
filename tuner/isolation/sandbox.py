"""Confinement of a draft's process: limits, seccomp and Landlock on top of its namespaces.

`confine` is called by the draft's own process before it loads any draft, inside the namespaces that
`namespaces.py` has made where they work. Nothing here needs a privilege or a helper program.
"""

from __future__ import annotations

import ctypes
import resource
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from outpace.model import Grade
from outpace.tuner.isolation import landlock, seccomp

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION_3 = 0x20080522


@dataclass(frozen=True)
class Layers:
    """Layers of isolation around a draft's process."""

    namespaces: bool = True
    landlock: bool = True
    seccomp: bool = True

    @property
    def grade(self) -> Grade:
        """What they add up to; see `Grade`."""
        if not self.seccomp:
            return Grade.D
        around = self.namespaces + self.landlock
        return (Grade.C, Grade.B, Grade.A)[around]


@dataclass(frozen=True)
class Limits:
    """Bounds of one draft's process.

    Attributes:
        memory: Bytes of private memory (RLIMIT_DATA).
        file_size: Bytes of any one file it writes.
        open_files: Number of descriptors.
    """

    memory: int = 8 << 30
    file_size: int = 256 << 20
    open_files: int = 256


def die_with_spawner(by: int = 9) -> None:
    """Have the kernel send this process a signal when the thread that spawned it ends."""
    _libc().prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0)


def confine(
    limits: Limits,
    readable: Sequence[str],
    writable: Sequence[str],
    wanted: Layers,
    *,
    programs: bool = False,
    gpu: Sequence[str] = (),
) -> Layers:
    """Confine the calling process for good.

    Args:
        limits: Bounds of its resources.
        readable: Paths that it may read.
        writable: Folders in which it may make files.
        wanted: Layers to add; namespaces are there already or are not.
        programs: Whether it may start programs.
        gpu: Device files of a GPU that it may use, for which its driver needs local sockets.

    Returns:
        The layers there are now; one that the kernel lacks is never an error.
    """
    _limit(limits)
    has_threads = len(list(Path("/proc/self/task").iterdir())) > 1  # they would stay unconfined
    if has_threads or _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return Layers(namespaces=wanted.namespaces, landlock=False, seccomp=False)
    _drop_capabilities()
    return Layers(
        namespaces=wanted.namespaces,
        landlock=wanted.landlock and landlock.restrict(readable, writable, gpu),
        seccomp=wanted.seccomp and seccomp.install(programs=programs, sockets=bool(gpu)),
    )


def _limit(limits: Limits) -> None:
    # Shared memory is under no limit; when it runs out, this process is the one to go.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    for kind, value in (
        (resource.RLIMIT_DATA, limits.memory),
        (resource.RLIMIT_FSIZE, limits.file_size),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bound, bound))


def _drop_capabilities() -> None:
    """Give up what root may do beyond its files: devices, limits, terminals, other processes."""
    header = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
    _libc().capset(header, bytes(24))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
