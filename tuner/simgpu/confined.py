"""Processes of the simulated GPU: a compiler or a compiled draft, confined before it starts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

from outpace import environment
from outpace.errors import EnvironmentError_
from outpace.model import Grade, Status
from outpace.tuner.isolation.child import Child
from outpace.tuner.isolation.launch import layers_wanted
from outpace.tuner.isolation.sandbox import Limits
from outpace.tuner.isolation.view import DEVICES, View, module_path, readable_paths
from outpace.tuner.process import Failure

_SPAWN = (
    "import sys; sys.path[:] = {path!r}; "
    "from outpace.tuner.simgpu.starting import main; main({setup!r})"
)
UNBOUNDED = 1 << 62
"""Bytes of memory for a process under the address sanitizer, which maps terabytes that it never
touches; it bounds what it uses by itself."""


def start_confined(
    command: Sequence[str],
    folder: Path,
    scratch: Path,
    *,
    building: bool,
    descriptors: Sequence[int],
    grade: int,
    lowest: Grade,
    log: IO[bytes],
    memory: int,
) -> Child:
    """Start a program that sees its folder, compilers and libraries, and nothing else.

    Args:
        command: Program and arguments.
        folder: Readable; its folder `build` is writable where `building` is set.
        scratch: Folder of this process alone, inside `folder`.
        building: Whether this is a compiler.
        descriptors: What it inherits.
        grade: Descriptor, one of these, that the isolation reached is written to, one letter.
        lowest: Grade below which the program is not started.
        log: File for what it prints.
        memory: Bytes of private memory that it may have.

    Raises:
        EnvironmentError_: Its namespaces could not be made.
    """
    view = View(readable_paths(), str(folder), str(scratch), str(folder / "build"), building)
    layers = layers_wanted()
    setup = {
        "command": list(command),
        "readable": [*view.readable, view.folder, "/proc", *DEVICES],
        "writable": view.writable,
        "limits": asdict(Limits(memory)),
        "layers": asdict(layers),
        "grade": grade,
        "lowest": lowest.value,
    }
    code = _SPAWN.format(path=list(module_path()), setup=json.dumps(setup))
    return Child(
        [sys.executable, "-I", "-c", code],
        variables=environment.worker_environment(TMPDIR=str(scratch), LC_ALL="C"),
        folder=folder,
        descriptors=descriptors,
        log=log,
        view=view if layers.namespaces else None,
    )


def read_grade(descriptor: int, lowest: Grade) -> Grade:
    """What `starting.main` has written.

    Raises:
        Failure: The isolation is too weak, so that nothing was started.
        EnvironmentError_: The process ended before.
    """
    letter = os.read(descriptor, 1).decode()
    if not letter:
        raise EnvironmentError_(
            "a process for simulated drafts cannot be started; `outpace doctor` tries its parts"
        )
    grade = Grade(letter)
    if grade > lowest:
        raise Failure(
            Status.BLOCKED,
            f"it was not run: isolation here is of grade {grade}, and drafts of a model "
            f"need {lowest}; `outpace doctor` says what is missing, --accept-risk runs them all "
            "the same",
            grade=grade,
        )
    return grade
