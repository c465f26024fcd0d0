"""Folders whose names survive a crash of the machine."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder and its parents; when this returns, their names are on disk.

    A folder that is there already is synced too: whoever made it may not have come to that yet.

    Raises:
        OSError: It cannot be made or synced; never FileExistsError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
    for parent in folder.absolute().parents:
        if not os.access(parent, os.R_OK | os.W_OK):
            break  # nothing can have been made in it
        sync_folder(parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
