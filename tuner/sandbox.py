"""Confinement of a draft's process: limits, seccomp and Landlock, and what of it works here.

`confine` is called by the draft's own process before it loads any draft. Nothing here needs a
privilege or a helper program. Namespaces are the next layer and would be set up by the spawner.

Numbers are from the Linux UAPI headers: `linux/seccomp.h`, `linux/landlock.h`, `linux/filter.h` and
the syscall tables of x86_64 and of the generic table that aarch64 uses.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from outpace.model import Grade

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM, _ENOSYS = 1, 38
_CLONE_THREAD = 0x00010000

_SYSCALLS: dict[str, tuple[int | None, int | None]] = {  # x86_64, then the generic table
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "io_uring_setup": (425, 425),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "process_madvise": (440, 440),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "clock_settime": (227, 112),
    "settimeofday": (164, 170),
    "adjtimex": (159, 171),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "tkill": (200, 130),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
}
_KILL_CALLS = {"kill": (62, 129), "tgkill": (234, 131)}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_X32_BIT = 0x40000000

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_WRITE_ACCESS = 0x1FF2  # every right of ABI 1 but execute, read_file and read_dir
_TRUNCATE = 1 << 14  # ABI 3
_O_PATH = getattr(os, "O_PATH", 0o10000000)


@dataclass(frozen=True)
class Limits:
    """Bounds of one draft's process.

    Attributes:
        memory: Bytes of private memory (RLIMIT_DATA).
        file_size: Bytes of any one file it writes.
        open_files: Number of descriptors.
    """

    memory: int = 8 << 30
    file_size: int = 1 << 32
    open_files: int = 256


def die_with_spawner() -> None:
    """Have the kernel kill this process when the thread that spawned it ends."""
    _libc().prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)


def confine(limits: Limits, writable: Path) -> Grade:
    """Confine the calling process for good; only `writable` may be written to.

    Returns:
        The grade reached; a layer that the kernel lacks lowers it and is never an error.
    """
    _limit(limits)
    if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return Grade.D
    has_landlock = _landlock(writable)
    if not _seccomp():
        return Grade.D
    return Grade.B if has_landlock else Grade.C


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _limit(limits: Limits) -> None:
    for kind, value in (
        (resource.RLIMIT_DATA, limits.memory),
        (resource.RLIMIT_FSIZE, limits.file_size),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bound, bound))


# --- seccomp ------------------------------------------------------------------------------------


def _seccomp() -> bool:
    """Install the filter on every thread-to-be; False where it cannot be."""
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None or sys.byteorder != "little":
        return False
    program = _program(*architecture, os.getpid())
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    pointer = ctypes.create_string_buffer(header, len(header))
    return bool(_libc().prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, pointer, 0, 0) == 0)


def _program(audit: int, column: int, pid: int) -> bytes:
    """The BPF program: load, compare, return, one block a rule."""
    load, equal, at_least, bits, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    code: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),  # seccomp_data.arch
        (equal, 1, 0, audit),
        (answer, 0, 0, _KILL),
        (load, 0, 0, 0),  # seccomp_data.nr
    ]
    if column == 0:  # the x32 table would be a way around
        code += [(at_least, 0, 1, _X32_BIT), (answer, 0, 0, _KILL)]
    for numbers in _SYSCALLS.values():
        if (number := numbers[column]) is not None:
            code += [(equal, 0, 1, number), (answer, 0, 0, _ERRNO | _EPERM)]
    code += [(equal, 0, 1, _CLONE3[column]), (answer, 0, 0, _ERRNO | _ENOSYS)]
    code += [  # clone: threads only; args[0] is at offset 16
        (equal, 0, 4, _CLONE[column]),
        (load, 0, 0, 16),
        (bits, 1, 0, _CLONE_THREAD),
        (answer, 0, 0, _ERRNO | _EPERM),
        (answer, 0, 0, _ALLOW),
    ]
    for numbers in _KILL_CALLS.values():  # a signal to oneself is how abort() works
        code += [
            (equal, 0, 4, numbers[column]),
            (load, 0, 0, 16),
            (equal, 1, 0, pid),
            (answer, 0, 0, _ERRNO | _EPERM),
            (answer, 0, 0, _ALLOW),
        ]
    code.append((answer, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


# --- Landlock -----------------------------------------------------------------------------------


def _landlock(writable: Path) -> bool:
    """Deny writing outside one folder, and reading other processes' memory; False if absent."""
    libc = _libc()
    abi = libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if abi < 1:
        return False
    access = _WRITE_ACCESS | (_TRUNCATE if abi >= 3 else 0)
    attributes = ctypes.create_string_buffer(struct.pack("<Q", access), 8)
    ruleset = libc.syscall(_LANDLOCK_CREATE, attributes, 8, 0)
    if ruleset < 0:
        return False
    try:
        _allow_path(libc, ruleset, writable, access)
        _allow_path(libc, ruleset, Path("/dev/null"), 1 << 1 | access & _TRUNCATE)
        return bool(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow_path(libc: ctypes.CDLL, ruleset: int, path: Path, access: int) -> None:
    descriptor = os.open(path, _O_PATH | os.O_CLOEXEC)
    try:
        rule = ctypes.create_string_buffer(struct.pack("<Qi", access, descriptor), 12)
        libc.syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0)
    finally:
        os.close(descriptor)
