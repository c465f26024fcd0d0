"""Kernels in CUDA on the simulated GPU, called as compiled ones are: with arrays, in place."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from outpace.codegen.abi import Role, bind_sizes, slots
from outpace.codegen.cuda import resolve, split_plan
from outpace.codegen.cuda.prototype import launch_checks, launches
from outpace.codegen.reference import Reference
from outpace.model import Draft, Grade, Parameter, Scalar
from outpace.tuner.process import Call
from outpace.tuner.simgpu.building import Build, build_program
from outpace.tuner.simgpu.simulation import Simulation
from outpace.tuner.simgpu.source import device_file, translation_unit

SMALL: Mapping[str, Scalar] = {
    "BLOCK": 64, "BLOCK_X": 8, "BLOCK_Y": 4, "ITEMS": 2, "VECTOR": 2, "ROW": 64, "PARTS": 3,
    "STAGED": 4, "TIME": 3, "TILE_X": 16, "TILE_Y": 8, "TILE_Z": 2, "THREADS": 64,
    "ACCUMULATOR": "double",
}  # fmt: skip
"""Values at which small arrays have several blocks and tails."""
_ROOM = 1 << 24
_LIMIT = 60.0
_NUMBER = itertools.count()


@contextmanager
def simulated(
    reference: Reference,
    draft: Draft,
    folder: Path,
    params: Mapping[str, Scalar] = SMALL,
    build: Build = Build.RACES,
) -> Iterator[Callable[..., None]]:
    """The kernel of a draft with these parameters, and the first values of all others.

    A call raises `Failure` for what the simulation finds: races, missing barriers, wrong places.
    """
    contract = reference.contract
    bound = {p.name: params.get(p.name, p.values[0]) for p in draft.parameters}
    plan, code = split_plan(draft.source)
    kernels = tuple(dict.fromkeys(step.kernel for _, step in launches(plan.steps, "steps")))
    macros = tuple(Parameter(name, (value,)) for name, value in bound.items())
    device = device_file(code, macros)
    unit = translation_unit(macros, kernels, launch_checks(plan, contract, bound))
    place = folder / f"simulated{next(_NUMBER)}"
    place.mkdir()
    program = build_program(unit, device, kernels, place, build, Grade.D)
    mutable = [slot.role in (Role.INOUT, Role.OUTPUT) for slot in slots(contract)]
    with Simulation(
        program, contract, lambda sizes: resolve(plan, sizes, bound, contract), _ROOM
    ) as running:
        numbers = itertools.count()

        def kernel(*values: Any) -> None:
            given = dict(zip((a.name for a in contract.arguments), values, strict=False))
            running.seed = next(numbers)
            running.prepare([Call(bind_sizes(contract, given), given)])
            running.run(_LIMIT)
            written = [v for v, m in zip(values, mutable, strict=True) if m]
            for array, result in zip(written, running.results(), strict=True):
                np.copyto(array, result)

        yield kernel
