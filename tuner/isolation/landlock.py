"""The Landlock rule set of a draft's process: which files it may read and write.

A domain also keeps its processes from looking into any process outside of it, and on newer kernels
from signalling one. Numbers are from `linux/landlock.h`.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_ACCESS = 0x1FFE  # every right of ABI 1 but execute
_SPECIAL_FILES = 0x1E40  # of these: making devices, sockets, pipes and symbolic links
_REFER, _TRUNCATE = 1 << 13, 1 << 14  # ABI 2: renaming into another folder; ABI 3
_SCOPED = 0b11  # ABI 6: abstract sockets and signals stay inside
_O_PATH = getattr(os, "O_PATH", 0o10000000)


def restrict(readable: Sequence[str], writable: Sequence[str], devices: Sequence[str] = ()) -> bool:
    """Confine the calling process and all that it will start; for good.

    Needs `no_new_privs`, and must come before any thread is started. Paths that do not exist are
    passed over.

    Args:
        readable: Files, and folders with all below, that may be read.
        writable: Folders in which regular files and folders may be made, changed and removed.
        devices: Device files, and folders of them, that may be read and written.

    Returns:
        False where the kernel has no Landlock.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(_CREATE, None, 0, 1)
    if abi < 1:
        return False
    access = _ACCESS | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0)
    rules = struct.pack("<QQQ", access, 0, _SCOPED) if abi >= 6 else struct.pack("<Q", access)
    ruleset = libc.syscall(_CREATE, ctypes.create_string_buffer(rules, len(rules)), len(rules), 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            reading = _READ_FILE | (_READ_DIR if Path(path).is_dir() else 0)
            _allow(libc, ruleset, path, reading)
        for path in writable:
            _allow(libc, ruleset, path, access & ~_SPECIAL_FILES)
        for path in devices:
            listing = _READ_DIR if Path(path).is_dir() else 0
            _allow(libc, ruleset, path, _READ_FILE | _WRITE_FILE | listing)
        _allow(libc, ruleset, "/dev/null", _WRITE_FILE | access & _TRUNCATE)
        return bool(libc.syscall(_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, _O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rule = ctypes.create_string_buffer(struct.pack("<Qi", access, descriptor), 12)
        libc.syscall(_ADD, ruleset, 1, rule, 0)
    finally:
        os.close(descriptor)
