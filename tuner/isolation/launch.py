"""How the process of a draft, or of the reference, is started: what it is told, sees and may do."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from outpace import environment
from outpace.codec import encode
from outpace.errors import EnvironmentError_
from outpace.kernels.languages import ON_A_GPU, language_named
from outpace.kernels.languages.openmp import SPINS
from outpace.model import Contract, Variant
from outpace.tuner.gpu.access import GPU_LIMITS, gpu_layers
from outpace.tuner.isolation.child import Child, namespaces_refused
from outpace.tuner.isolation.sandbox import Layers
from outpace.tuner.isolation.view import (
    DEVICES,
    View,
    gpu_devices,
    module_path,
    readable_paths,
)

_SPAWN = (
    "import sys; sys.path[:] = {path!r}; from outpace.tuner.worker import main; main({setup!r})"
)
_SPAWN_ELSEWHERE = "from outpace.tuner.worker import main; main({setup!r})"
_SPAWN_REHEARSAL = """import sys
sys.path[:] = {path!r}
from outpace.tuner.worker import rehearsal
steps = rehearsal({setup!r})
del rehearsal
for function, arguments, hand_over in steps:
    hand_over(function(*arguments))
"""


ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(64 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
}
"""Tells the C library's allocator to keep freed memory.

By default it gives the top of the heap back and faults it in again at the next call, which doubles
the time of array code; a draft that merely kept one array alive would then look twice as fast.
"""


def layers_wanted() -> Layers:
    """Layers that a draft's process asks for: namespaces only where they were tried and work."""
    return Layers(namespaces=namespaces_refused() is None)


def scratch_in(folder: Path) -> Path:
    """A new folder for one process.

    Raises:
        EnvironmentError_: There is no room for it.
    """
    try:
        return Path(tempfile.mkdtemp(prefix="run-", dir=folder))
    except OSError as error:
        raise EnvironmentError_(
            f"no folder can be made in {folder}: {error.strerror or error}; free space or make it "
            "writable (XDG_CACHE_HOME moves it)"
        ) from error


def setup_of(
    variant: Variant, contract: Contract, folder: Path, scratch: Path, *, building: bool
) -> dict[str, Any]:
    """What a draft's process is told; with the arenas it is all that it knows."""
    build = folder / "build"
    if building:
        build.mkdir(exist_ok=True, mode=0o700)
    seen = str(build) if build.is_dir() else None
    language = language_named(variant.draft.language)
    view = View(readable_paths(), str(folder), str(scratch), seen, building)
    setup: dict[str, Any] = {
        "kind": "build" if building else "kernel",
        "source": str(folder / f"draft{language.suffix}"),
        "language": language.name,
        "contract": encode(contract).decode(),
        "view": asdict(view),
        "devices": DEVICES,
        "layers": asdict(layers_wanted()),
        "programs": building and not language.runs_to_build,
    }
    return setup | _with_gpu(view) if language.name in ON_A_GPU and not building else setup


def _with_gpu(view: View) -> dict[str, Any]:
    """What is different for a process that runs kernels on a GPU."""
    return {
        "gpu": gpu_devices(),
        "view": asdict(view.with_gpu()),
        "layers": asdict(gpu_layers()),
        "limits": asdict(GPU_LIMITS),
    }


def start(
    setup: dict[str, Any], home: Path, log: IO[bytes], interpreter: Path | None = None
) -> Child:
    """Start the process.

    Args:
        setup: All that it is told.
        home: Its folder for what it writes.
        log: File for what it prints.
        interpreter: Another Python, which imports outpace by itself; None for this one.

    Raises:
        EnvironmentError_: Its namespaces could not be made.
    """
    is_draft = "view" in setup
    # A draft gets no folder of the user's to import from, the reference all that there are.
    path = module_path() if is_draft else [str(Path(entry).absolute()) for entry in sys.path]
    spawn = _SPAWN_REHEARSAL if setup["kind"] == "rehearsal" else _SPAWN
    if interpreter is not None:
        spawn = _SPAWN_ELSEWHERE
    code = spawn.format(path=list(path), setup=json.dumps(setup))
    return Child(
        [str(interpreter or sys.executable), "-I", "-c", code],
        variables=_variables(home) | _variables_of_gpu(setup, is_draft=is_draft),
        folder=home if is_draft else None,
        descriptors=[setup[name] for name in ("commands", "replies", "inputs", "outputs")],
        log=log,
        view=View(**setup["view"]) if is_draft and setup["layers"]["namespaces"] else None,
    )


def _variables_of_gpu(setup: dict[str, Any], *, is_draft: bool) -> dict[str, str]:
    """What the driver needs; the reference, which is trusted, compiles once for all processes."""
    if "gpu" not in setup:
        return {}
    return environment.gpu_variables(None if is_draft else environment.cache_dir() / "cupy")


def _variables(folder: Path) -> dict[str, str]:
    """The same for the reference and for drafts."""
    count = str(len(os.sched_getaffinity(0)))
    return environment.worker_environment(
        HOME=str(folder),
        TMPDIR=str(folder),
        NUMBA_NUM_THREADS=count,
        OMP_NUM_THREADS=count,
        GOMP_SPINCOUNT=str(SPINS),
        **ALLOCATOR,
    )
