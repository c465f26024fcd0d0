"""The seccomp filter of a draft's process: which system calls it may make.

Numbers are from the Linux UAPI headers `linux/seccomp.h`, `linux/filter.h` and `linux/sched.h`, and
from the syscall tables of x86_64 and of the generic table that aarch64 uses.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP = 1, 22
_SECCOMP_MODE_FILTER = 2
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM, _ENOSYS = 1, 38
_REFUSE = _ERRNO | _EPERM
_CLONE_THREAD, _CLONE_VFORK = 0x00010000, 0x00004000
_CLONE_NEW = 0x7E020000  # every namespace

_Numbers = tuple[int | None, int | None]
"""Of a system call: on x86_64, then in the generic table; None where it does not exist."""

_STARTING: dict[str, _Numbers] = {
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
}
"""Refused where no programs may be started."""
_SYSCALLS: dict[str, _Numbers] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
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
    "timer_create": (222, 107),
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
down, a timer could let a stopped process go on; Landlock does not govern the modes, owners and
times of files."""
_SOCKETS = {"socket": (41, 198), "socketpair": (53, 199)}
"""Refused, but for local ones where the driver of a GPU needs them."""
_AF_UNIX = 1
_KILL_CALLS = {"kill": (62, 129), "tgkill": (234, 131)}
"""Allowed on the process itself, which is how abort() works."""
_SIGCONT = 18
"""Never allowed: a thread that sends it all the time keeps its process from being stopped."""
_PRLIMIT = (302, 261)
_REFUSED_SECOND: dict[str, tuple[tuple[int, int], tuple[int, ...]]] = {
    "fcntl": ((72, 25), (8, 10, 15)),  # F_SETOWN, F_SETSIG, F_SETOWN_EX: signals sent by the kernel
    "ioctl": ((16, 29), (0x8901, 0x8902)),  # FIOSETOWN, SIOCSPGRP: the same
}
"""Calls refused for these values of their second argument."""
_CLONE, _CLONE3, _PRCTL = (56, 220), (435, 435), (157, 167)
_FIRST, _SECOND, _THIRD = 16, 24, 32
"""Offsets of the low words of the first arguments in `seccomp_data`."""
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_X32_BIT = 0x40000000


def install(*, programs: bool, sockets: bool = False) -> bool:
    """Filter the calling process and all that it will start; for good.

    Needs `no_new_privs`, and must come before any thread is started.

    Args:
        programs: Whether processes and programs may be started. None of them can leave its process
            group, so that one signal ends them all.
        sockets: Whether local sockets may be made; never any other.

    Returns:
        False where the kernel or the machine has no such filter.
    """
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None or sys.byteorder != "little":
        return False
    program = _program(*architecture, os.getpid(), programs=programs, sockets=sockets)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    pointer = ctypes.create_string_buffer(header, len(header))
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, pointer, 0, 0) == 0)


_Code = list[tuple[int, int, int, int]]
_LOAD, _EQUAL, _AT_LEAST, _BITS, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06


def _program(audit: int, column: int, pid: int, *, programs: bool, sockets: bool = False) -> bytes:
    """The BPF program: load, compare, return, one block a rule."""
    code: _Code = [
        (_LOAD, 0, 0, 4),  # seccomp_data.arch
        (_EQUAL, 1, 0, audit),
        (_ANSWER, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # seccomp_data.nr
    ]
    if column == 0:  # the x32 table would be a way around
        code += [(_AT_LEAST, 0, 1, _X32_BIT), (_ANSWER, 0, 0, _KILL)]
    for numbers in (*_SYSCALLS.values(), *(() if programs else _STARTING.values())):
        if (number := numbers[column]) is not None:
            code += [(_EQUAL, 0, 1, number), (_ANSWER, 0, 0, _REFUSE)]
    local = _ALLOW if sockets else _REFUSE
    for both in _SOCKETS.values():
        code += _by_argument(both[column], _FIRST, (_AF_UNIX,), local, _REFUSE)
    # C libraries fall back to clone, whose flags a filter can see.
    code += [(_EQUAL, 0, 1, _CLONE3[column]), (_ANSWER, 0, 0, _ERRNO | _ENOSYS)]
    code += _clone(_CLONE[column], programs=programs)
    # With programs a process may signal its own group: how a build ends all that it has started.
    signalled = (pid, 0) if programs else (pid,)
    for numbers, signal in zip(_KILL_CALLS.values(), (_SECOND, _THIRD), strict=True):
        code += _refuse_argument(numbers[column], signal, _SIGCONT)
        code += _by_argument(numbers[column], _FIRST, signalled, _ALLOW, _REFUSE)
    code += _by_argument(_PRLIMIT[column], _FIRST, (0, pid), _ALLOW, _REFUSE)
    code += _by_argument(_PRCTL[column], _FIRST, (_PR_SET_PDEATHSIG,), _REFUSE, _ALLOW)
    for both, values in _REFUSED_SECOND.values():
        code += _by_argument(both[column], _SECOND, values, _REFUSE, _ALLOW)
    code.append((_ANSWER, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _clone(number: int, *, programs: bool) -> _Code:
    """No new namespaces; without programs threads only, and none that waits as vfork() does."""
    if programs:
        return [
            (_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _FIRST),
            (_BITS, 1, 0, _CLONE_NEW),
            (_ANSWER, 0, 0, _ALLOW),
            (_ANSWER, 0, 0, _REFUSE),
        ]
    return [
        (_EQUAL, 0, 5, number),
        (_LOAD, 0, 0, _FIRST),
        (_BITS, 0, 2, _CLONE_THREAD),
        (_BITS, 1, 0, _CLONE_VFORK | _CLONE_NEW),
        (_ANSWER, 0, 0, _ALLOW),
        (_ANSWER, 0, 0, _REFUSE),
    ]


def _refuse_argument(number: int, offset: int, value: int) -> _Code:
    """Instructions that refuse a call for one value of an argument, and else go on."""
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, offset),
        (_EQUAL, 0, 1, value),
        (_ANSWER, 0, 0, _REFUSE),
        (_LOAD, 0, 0, 0),
    ]


def _by_argument(
    number: int, offset: int, values: tuple[int, ...], among: int, otherwise: int
) -> _Code:
    """Instructions that answer a call by whether one of its arguments is among these values."""
    tests = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [
        (_EQUAL, 0, len(values) + 3, number),
        (_LOAD, 0, 0, offset),
        *tests,
        (_ANSWER, 0, 0, otherwise),
        (_ANSWER, 0, 0, among),
    ]
