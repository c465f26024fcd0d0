"""The programs of benchmarks/programs are lifted, and mean what NumPy means at small sizes."""

from __future__ import annotations

import copy
import random
import sys
from pathlib import Path

import ir_interpreter
import numpy as np
import pytest

from outpace.codegen.abi import as_results, bind_sizes, output_shapes
from outpace.codegen.domain import allows
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.nests.lift import lift
from outpace.errors import NotLifted

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from programs import PROGRAMS

REFUSED = {"contour_integral": "a call of numpy.linalg.solve, which stays a library call"}
"""Those that need a library."""
SIZES = {
    "apply_gate": {"n": 8, "target": 1},
    "stockham_fft": {"n": 16, "K": 2},
    "lenet": {"n": 1, "r": 1, "c1": 1, "c2": 2, "d": 2, "f": 2},
    "channel_flow": {"ny": 5, "nx": 4, "limit": 2, "sweeps": 1},
    "scattering_self_energies": dict.fromkeys(("Nkz", "Nqz", "Nw", "NA", "NB", "N3D"), 1)
    | {"NE": 2, "Norb": 2},
}
"""Sizes where few are allowed, or larger ones take long to interpret."""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_program(name):
    reference = PROGRAMS[name]
    program = lift(reference, library=name in REFUSED)
    rng = random.Random(name)
    names = reference.contract.workloads[0].sizes
    ran = 0
    for seed in range(400):
        sizes = SIZES.get(name) or {n: rng.choice((1, 2, 3, 4, 5)) for n in names}
        if allows(reference.contract, sizes):
            ran += _agrees(reference, program, Case(sizes, seed, "plain"))
        if ran:
            break
    assert ran


@pytest.mark.parametrize("name", REFUSED)
def test_program_that_is_refused(name):
    with pytest.raises(NotLifted, match=REFUSED[name]):
        lift(PROGRAMS[name])


def _agrees(reference, program, case):
    """Compare; False if the reference raises at this case."""
    inputs = draw_inputs(reference, case)
    changed = copy.deepcopy(inputs)
    try:
        returned = reference.fn(**changed)
    except (ValueError, IndexError, ZeroDivisionError, np.linalg.LinAlgError):
        return False
    contract = reference.contract
    sizes = bind_sizes(contract, inputs)
    want = as_results(contract, returned, sizes)
    shapes = output_shapes(contract, sizes)
    got = [np.full(s, 77, dtype=o.dtype) for o, s in zip(contract.outputs, shapes, strict=True)]
    ir_interpreter.run(program, *inputs.values(), *got)
    for argument in contract.arguments:
        if argument.is_array:
            want.append(changed[argument.name])
            got.append(inputs[argument.name])
    for expected, array in zip(want, got, strict=True):
        loose = 2e-5 if expected.dtype == np.float32 else 1e-9
        np.testing.assert_allclose(array, expected, rtol=loose, atol=loose)
    return True
