"""Probing the sandbox by trying to break it: each layer is attacked from inside.

A process is started and confined as a draft's is, and then tries what a hostile draft would. A
layer counts as active only if the attempt failed.
"""

from __future__ import annotations

import json
import os
import select
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from outpace import environment
from outpace.model import Grade
from outpace.tuner.isolation.attacks import ATTACKS, NAMESPACES, Targets
from outpace.tuner.isolation.child import Child, namespaces_refused
from outpace.tuner.isolation.launch import layers_wanted
from outpace.tuner.isolation.sandbox import Layers
from outpace.tuner.isolation.view import DEVICES, View, module_path, readable_paths

_SPAWN = (
    "import sys; sys.path[:] = {path!r}; "
    "from outpace.tuner.isolation import attacks; attacks.{main}({task})"
)
_LIMIT = 60.0


@dataclass(frozen=True)
class Layer:
    """One thing that isolation prevents.

    Attributes:
        name: What it is.
        active: Whether the attempt failed.
        hint: What it needs.
    """

    name: str
    active: bool
    hint: str


@dataclass(frozen=True)
class Probing:
    """What attacking the sandbox showed.

    Attributes:
        grade: As a draft's process reports it.
        layers: Every attack.
        unloadable: Why a library that drafts need does not load inside, or None.
    """

    grade: Grade
    layers: tuple[Layer, ...]
    unloadable: str | None


def probe() -> Probing:
    """Attack confined children of this process; takes about 2 s."""
    wanted = layers_wanted()
    with (
        tempfile.TemporaryDirectory() as private,
        tempfile.NamedTemporaryFile("w", dir=private) as secret,
        tempfile.NamedTemporaryFile(dir=private) as outside,
    ):
        secret.write("secret")
        secret.flush()
        found = _attacked(wanted, Targets(os.getpid(), secret.name, outside.name))
    held = found.get("held", {})
    layers = [Layer(name, held.get(name) is True, hint) for name, hint, _ in ATTACKS]
    layers.append(Layer("no process outlives a kill", _daemon_ends(wanted), NAMESPACES))
    layers.append(_namespaces())
    return Probing(Grade(found.get("grade", "D")), tuple(layers), found.get("unloadable"))


def _namespaces() -> Layer:
    why = namespaces_refused()
    return Layer("namespaces", why is None, f"{NAMESPACES}; refused: {why}")


def _attacked(wanted: Layers, targets: Targets) -> dict[str, Any]:
    """What the attacking process found; empty when it did not live to tell."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        child = _start("attack", Path(folder), wanted, asdict(targets), log, ())
        child.wait(_LIMIT)
        child.close(sweep=True)
        log.seek(0)
        try:
            found: dict[str, Any] = json.loads(log.read().splitlines()[-1])
        except (ValueError, IndexError):
            return {}
    return found


def _daemon_ends(wanted: Layers) -> bool:
    """Whether a process that left its group is gone when the one that started it was killed.

    It inherits a pipe, which ends when the last process does that holds it.
    """
    theirs, ours = os.pipe()[::-1]
    try:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
            child = _start("leave_daemon", Path(folder), wanted, {"pipe": theirs}, log, (theirs,))
            os.close(theirs)
            started = _readable(ours, _LIMIT) and os.read(ours, 1) == b"d"
            child.close(sweep=True)
            return bool(started and _readable(ours, 2.0) and os.read(ours, 1) == b"")
    finally:
        os.close(ours)


def _readable(descriptor: int, limit: float) -> bool:
    return bool(select.select([descriptor], [], [], limit)[0])


def _start(
    main: str,
    folder: Path,
    wanted: Layers,
    task: dict[str, Any],
    log: Any,
    descriptors: tuple[int, ...],
) -> Child:
    folder = folder.resolve()
    scratch = folder / "scratch"
    scratch.mkdir()
    view = View(readable_paths(), str(folder), str(scratch), None, building=False)
    task = {"view": asdict(view), "layers": asdict(wanted), "devices": DEVICES, **task}
    return Child(
        [sys.executable, "-I", "-c", _SPAWN.format(path=list(module_path()), main=main, task=task)],
        variables=environment.worker_environment(HOME=str(scratch), TMPDIR=str(scratch)),
        folder=scratch,
        descriptors=descriptors,
        log=log,
        view=view if wanted.namespaces else None,
    )
