"""Namespaces for a draft's process: its own file system, process numbers, network, host name, IPC.

A small trusted process, the spawner, enters new namespaces, builds a file system that holds only
what the `View` names, and starts the draft's process in it as process number 1: when that ends, the
kernel ends whatever else there is. `CLONE_PARENT` makes it a child of the judge and not of the
spawner, which ends at once. So the judge stops it and waits for the stop directly, as it does with
a process outside of namespaces.

No privilege and no helper program is needed, but user namespaces may be refused (by AppArmor on
Ubuntu, by container engines, by a sysctl on some clusters); `available` tries. Numbers are from
`linux/sched.h`, `linux/mount.h` and the syscall table, here the same on every architecture but for
`clone` and `pivot_root`.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

_NEW = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000
"""User, mount, PID, network, IPC and UTS namespace."""
_CLONE_PARENT, _SIGCHLD = 0x8000, 17
_CLONE = {"x86_64": 56, "aarch64": 220}
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_READ_ONLY, _NO_SETUID = 1, 2
_BIND, _RECURSIVE, _PRIVATE, _DETACH = 4096, 16384, 1 << 18, 2
_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
_NOSUID_NODEV = 2 | 4
_EMPTY = ("/proc", "/tmp", "/var/tmp", "/dev/shm")  # noqa: S108
"""Folders that are looked for everywhere; nothing can be written to them."""
_SCRATCH = "size=256m,nr_inodes=8192,mode=700"
"""A memory file system is bounded by nothing else."""


def main(text: str) -> None:
    """In the spawner: start the process and tell the judge its number, or what went wrong.

    The JSON text has: `status`, a descriptor to answer through; `view`, the fields of a `View`;
    `command`, the program with its arguments; `devices`.
    """
    setup = json.loads(text)
    status = int(setup["status"])
    os.set_inheritable(status, False)  # it closes when the program has been started
    try:
        _volunteer()
        _enter()
        _build_root(setup["view"], setup["devices"])
        pid = _clone_into_parent()
        if pid == 0:
            _finish_root(setup["view"])
            _start(setup["command"])
        _tell(status, {"pid": pid})
    except OSError as error:
        _tell(status, {"error": str(error)})
        os._exit(1)


def _tell(status: int, message: dict[str, Any]) -> None:
    os.write(status, json.dumps(message).encode() + b"\n")


def _volunteer() -> None:
    """When memory runs out this process is the one to go; /proc is read-only later."""
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _enter() -> None:
    """New namespaces, in which this user keeps the number it has."""
    user, group = os.getuid(), os.getgid()
    _check(_libc().unshare(_NEW), "new namespaces")
    for file, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path("/proc/self", file).write_text(line, encoding="ascii")


def _build_root(view: dict[str, Any], devices: Sequence[str]) -> None:
    """A memory file system on the scratch folder, with everything that may be seen bound in."""
    _mount("none", "/", None, _RECURSIVE | _PRIVATE)
    root = view["scratch"]
    _mount("outpace", root, "tmpfs", _NOSUID_NODEV, "size=4m,mode=755")
    for path in (*view["readable"], *devices):
        _bind(root, path, _BIND | _RECURSIVE)
    # Not what is mounted below: that is this very root.
    _bind(root, view["folder"], _BIND)
    if view["building"]:
        _mount(view["build"], root + view["build"], None, _BIND)
    for empty in _EMPTY:
        Path(root + empty).mkdir(parents=True, exist_ok=True)


def _bind(root: str, path: str, flags: int) -> None:
    """Show a path at the same place; where links lead to it, they are links there too."""
    real, target = os.path.realpath(path), Path(root + path)
    if not Path(real).exists():
        return
    if real != path:
        if not os.path.lexists(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(real)
        _bind(root, real, flags)
        return
    if Path(real).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    elif not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(real, str(target), None, flags)


def _clone_into_parent() -> int:
    """Fork a sibling: its number here, or 0 in it, where nothing but `exec` should follow.

    The C library is not told, so that what it knows of the thread is stale there.
    """
    number = _CLONE.get(platform.machine())
    if number is None:
        raise OSError(f"clone is not known on {platform.machine()}")
    flags = ctypes.c_ulong(_CLONE_PARENT | _SIGCHLD)
    return _check(_libc().syscall(number, flags, None, None, None, None), "a process in them")


def _finish_root(view: dict[str, Any]) -> None:
    """In the new process: its own /proc, everything read-only but its folders; go there."""
    root = view["scratch"]
    _mount("proc", f"{root}/proc", "proc", _NOSUID_NODEV_NOEXEC)
    _set_attributes(root, _READ_ONLY | _NO_SETUID, 0, _AT_RECURSIVE)
    if view["building"]:
        _set_attributes(root + view["build"], 0, _READ_ONLY, 0)
    _mount("scratch", root + view["scratch"], "tmpfs", _NOSUID_NODEV, _SCRATCH)
    os.chdir(root)
    here = ctypes.c_char_p(b".")
    # The old root comes to lie over the new one, and is taken away.
    _check(_libc().syscall(_PIVOT_ROOT[platform.machine()], here, here), "a new root")
    _check(_libc().umount2(here, _DETACH), "leaving the old root")
    os.chdir(view["scratch"])


def _start(command: Sequence[str]) -> NoReturn:
    os.execv(command[0], list(command))  # noqa: S606


def _mount(
    source: str, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    words = [None if word is None else word.encode() for word in (source, target, kind, options)]
    result = _libc().mount(*words[:3], ctypes.c_ulong(flags), words[3])
    _check(result, f"mounting {source} at {target}")


def _set_attributes(path: str, add: int, remove: int, flags: int) -> None:
    attributes = (ctypes.c_uint64 * 4)(add, remove, 0, 0)
    result = _libc().syscall(
        _MOUNT_SETATTR, _AT_FDCWD, path.encode(), flags, attributes, ctypes.sizeof(attributes)
    )
    _check(result, f"the attributes of {path} (Linux 5.12)")


def _check(result: int, what: str) -> int:
    """The result of a call; raises OSError with what was being done if it failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
