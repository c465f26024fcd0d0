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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from outpace.model import Grade

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM, _ENOSYS = 1, 38
_CLONE_THREAD, _CLONE_VFORK = 0x00010000, 0x00004000

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
    "seccomp": (317, 277),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
}
"""Refused always. The calls for priorities, cores and pages would slow the reference's process
down; Landlock does not govern the modes, owners and times of files."""
_KILL_CALLS = {"kill": (62, 129), "tgkill": (234, 131)}
"""Allowed on the process itself, which is how abort() works."""
_PRLIMIT = (302, 261)
_REFUSED_SECOND: dict[str, tuple[tuple[int, int], tuple[int, ...]]] = {
    "fcntl": ((72, 25), (8, 10, 15)),  # F_SETOWN, F_SETSIG, F_SETOWN_EX: signals sent by the kernel
    "ioctl": ((16, 29), (0x8901, 0x8902)),  # FIOSETOWN, SIOCSPGRP: the same
}
"""Calls refused for these values of their second argument."""
_CLONE, _CLONE3, _PRCTL = (56, 220), (435, 435), (157, 167)
_FIRST, _SECOND = 16, 24
"""Offsets of the low words of the first arguments in `seccomp_data`."""
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_X32_BIT = 0x40000000

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_WRITE_ACCESS = 0x1FF2  # every right of ABI 1 but execute, read_file and read_dir
_SPECIAL_FILES = 0x1E40  # of these: devices, sockets, pipes and symbolic links
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
    file_size: int = 256 << 20
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
    has_threads = len(list(Path("/proc/self/task").iterdir())) > 1  # they would stay unconfined
    if has_threads or _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return Grade.D
    _drop_capabilities()
    has_landlock = _landlock(writable)
    if not _seccomp():
        return Grade.D
    return Grade.B if has_landlock else Grade.C


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


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
    code += [  # clone: threads only, and none that waits unstoppably as vfork() does
        (equal, 0, 5, _CLONE[column]),
        (load, 0, 0, _FIRST),
        (bits, 0, 2, _CLONE_THREAD),
        (bits, 1, 0, _CLONE_VFORK),
        (answer, 0, 0, _ALLOW),
        (answer, 0, 0, _ERRNO | _EPERM),
    ]
    refuse = _ERRNO | _EPERM
    for numbers in _KILL_CALLS.values():
        code += _by_argument(numbers[column], _FIRST, (pid,), _ALLOW, refuse)
    code += _by_argument(_PRLIMIT[column], _FIRST, (0, pid), _ALLOW, refuse)
    code += _by_argument(_PRCTL[column], _FIRST, (_PR_SET_PDEATHSIG,), refuse, _ALLOW)
    for both, values in _REFUSED_SECOND.values():
        code += _by_argument(both[column], _SECOND, values, refuse, _ALLOW)
    code.append((answer, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _by_argument(
    number: int, offset: int, values: tuple[int, ...], among: int, otherwise: int
) -> list[tuple[int, int, int, int]]:
    """Instructions that answer a call by whether one of its arguments is among these values."""
    load, equal, answer = 0x20, 0x15, 0x06
    tests = [(equal, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [
        (equal, 0, len(values) + 3, number),
        (load, 0, 0, offset),
        *tests,
        (answer, 0, 0, otherwise),
        (answer, 0, 0, among),
    ]


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
        _allow_path(libc, ruleset, writable, access & ~_SPECIAL_FILES)
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
