"""How well a process can be confined that uses a GPU: the layers under which the driver works.

What runs there is trusted code: of a draft in CUDA there is device code alone. The driver needs
device files, local sockets and address space without bounds, and may refuse to work under a layer
for reasons that it does not tell. So it is tried under all layers, then under fewer.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from outpace import environment
from outpace.errors import EnvironmentError_
from outpace.tuner.isolation.child import Child, namespaces_refused
from outpace.tuner.isolation.sandbox import Layers, Limits, confine
from outpace.tuner.isolation.view import (
    View,
    gpu_devices,
    module_path,
    readable_paths,
)

GPU_LIMITS = Limits(memory=1 << 62, open_files=4096)
"""The driver reserves address space for all memory of the GPU and of the host, and no code of a
draft allocates anything."""
_SPAWN = "import sys; sys.path[:] = {path!r}; from outpace.tuner.gpu.access import main; main({})"
_LIMIT = 60.0
NO_LAYERS = Layers(namespaces=False, landlock=False, seccomp=False)


@lru_cache(maxsize=1)
def gpu_layers() -> Layers:
    """The layers under which the driver works here, most of them that there can be.

    Tried once, in a few seconds; none where it works under none of them.
    """
    tried = layers_to_try(namespaces=namespaces_refused() is None)
    return next((layers for layers in tried if driver_fails(layers) is None), NO_LAYERS)


def layers_to_try(*, namespaces: bool) -> list[Layers]:
    """Sets of layers, the best first.

    Args:
        namespaces: Whether there are any here.
    """
    found = [
        Layers(namespaces=namespaces),
        Layers(namespaces=False),
        Layers(namespaces=namespaces, landlock=False),
        Layers(namespaces=False, landlock=False),
        Layers(namespaces=namespaces, landlock=False, seccomp=False),
        Layers(namespaces=False, seccomp=False),
    ]
    return list(dict.fromkeys(found))


def driver_fails(layers: Layers) -> str | None:
    """Why the driver does not work in a process confined by these layers, or None; takes a second.

    Raises:
        EnvironmentError_: No folder can be made for it.
    """
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile() as log:
        scratch = Path(name).resolve() / "scratch"
        scratch.mkdir()
        where = (str(scratch.parent), str(scratch), None)
        view = View(readable_paths(), *where, building=False).with_gpu()
        task = {"view": asdict(view), "layers": asdict(layers), "gpu": gpu_devices()}
        code = _SPAWN.format(repr(json.dumps(task)), path=list(module_path()))
        try:
            child = Child(
                [sys.executable, "-I", "-c", code],
                variables=environment.worker_environment(HOME=str(scratch), TMPDIR=str(scratch))
                | environment.gpu_variables(),
                folder=scratch,
                descriptors=(),
                log=log,
                view=view if layers.namespaces else None,
            )
        except EnvironmentError_ as error:
            return str(error)
        ended = child.wait(_LIMIT)
        child.close()
        log.seek(0)
        said = log.read().decode(errors="replace").strip()
    if ended == 0:
        return None
    return said.splitlines()[-1] if said else f"it ends with {ended}"


def main(text: str) -> None:
    """In the process: confine it, then use the driver. Ends with 1 and a line where that fails."""
    from outpace.kernels.gpu.device import exercise_device  # noqa: PLC0415  (before confinement)

    task = json.loads(text)
    view, layers = task["view"], Layers(**task["layers"])
    readable: Sequence[str] = [*view["readable"], view["folder"], "/proc", *view["devices"]]
    reached = confine(GPU_LIMITS, readable, [view["scratch"]], layers, gpu=task["gpu"])
    if (reached.landlock, reached.seccomp) != (layers.landlock, layers.seccomp):
        sys.exit("the kernel lacks one of these layers")
    try:
        exercise_device()
    except EnvironmentError_ as error:
        sys.exit(str(error))
