"""In a process of the simulated GPU: confine it, then become the program.

Nothing is imported here that starts threads, which no filter could confine.
"""

from __future__ import annotations

import json
import os

from outpace.model import Grade
from outpace.tuner.isolation.sandbox import Layers, Limits, confine, die_with_spawner


def main(text: str) -> None:
    """Confine this process, tell how well, and run the program if that is enough.

    The JSON text has: `command`, the program with its arguments; `readable` and `writable`, paths;
    `limits` and `layers`, fields of `Limits` and `Layers`; `grade`, a descriptor that gets one
    letter; `lowest`, the grade below which nothing is run.
    """
    setup = json.loads(text)
    die_with_spawner()
    layers = confine(
        Limits(**setup["limits"]),
        setup["readable"],
        setup["writable"],
        Layers(**setup["layers"]),
        programs=True,
    )
    os.write(setup["grade"], layers.grade.value.encode())
    if layers.grade <= Grade(setup["lowest"]):
        os.execv(setup["command"][0], setup["command"])  # noqa: S606
