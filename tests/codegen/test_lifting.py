"""Random array programs, lifted, mean what NumPy means: interpreted, emitted and compiled."""

from __future__ import annotations

import copy
import importlib.util
import itertools
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ir_interpreter
import numpy as np
import pytest
from array_programs import programs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from outpace.codegen.nests.emit_numba import NumbaOptions, numba_source
from outpace.codegen.nests.fuse import fused
from outpace.codegen.nests.hoist import hoisted
from outpace.codegen.nests.inline import inlined
from outpace.codegen.nests.ir import Program
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.pingpong import ping_ponged
from outpace.codegen.nests.reuse import reused
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import NotLifted

SHAPES = ((3, 4), (4, 3), (1, 5), (5, 1), (2, 2), (0, 3), (3, 0), (6, 7))
IMPORTS = (
    "import numpy as np\n"
    "from jaxtyping import Complex128, Float32, Float64, Int32, Int64, UInt8\n\n"
)
_NUMBER = itertools.count()
Kernel = Callable[..., None]

many = settings(
    deadline=None,
    derandomize=True,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def reference_of(text: str, folder: Path) -> Reference:
    """The function `f` of a text, in a file so that its source can be read."""
    name = f"program_{next(_NUMBER)}"
    path = folder / f"{name}.py"
    path.write_text(IMPORTS + text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        reference = Reference(module.f, ReferenceOptions(workloads={"w": {"n": 3, "m": 4}}))
        assert reference.contract
        assert reference.closure
    finally:
        del sys.modules[name]
    return reference


def arguments(reference: Reference, seed: int, shape: tuple[int, int]) -> list[Any]:
    """Small values, whole numbers among them, so that comparisons meet ties and zeros."""
    rng = np.random.default_rng(seed)
    found = []
    for a in reference.contract.arguments:
        extents = shape if len(a.dims or ()) == 2 else shape[1:]
        whole = rng.integers(0 if a.dtype.startswith("u") else -3, 4, extents)
        part = rng.choice([0.0, 0.0, 0.25], extents)
        values = whole + part if np.dtype(a.dtype).kind in "fc" else whole
        if np.dtype(a.dtype).kind == "c":
            values = values + 1j * whole[::-1]
        found.append(np.ascontiguousarray(values.astype(a.dtype)))
    return found


def agrees(reference: Reference, kernel: Kernel, seed: int, shape: tuple[int, int]) -> bool:
    """Compare a kernel with the reference; False if the reference raises here."""
    given = arguments(reference, seed, shape)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            want = reference.fn(*copy.deepcopy(given))
        except (ValueError, IndexError, ZeroDivisionError, TypeError, OverflowError):
            return False
        got = np.full(want.shape, 77, dtype=want.dtype)
        kernel(*given, got)
    loose = 2e-3 if want.dtype == np.float32 else 1e-8
    scale = np.nanmax(np.abs(want.astype(np.complex128)), initial=1.0)
    if want.dtype.kind in "iu":
        np.testing.assert_array_equal(got, want)
    elif np.isfinite(scale) and scale < 1e30:
        np.testing.assert_allclose(got, want, rtol=loose, atol=loose * scale)
    return True


def lifted(reference: Reference) -> Program | None:
    """The program, or None where it is refused."""
    try:
        return lift(reference)
    except NotLifted as refusal:
        assert refusal.line is not None  # noqa: PT017  (every refusal is checked, not expected)
        return None


def check_interpreted(text: str, seed: int, folder: Path) -> None:
    reference = reference_of(text, folder)
    program = lifted(reference)
    if program is None:
        return
    for k in range(3):
        shape = SHAPES[(seed + k) % len(SHAPES)]
        agrees(reference, lambda *a: ir_interpreter.run(program, *a), seed + k, shape)


@settings(many, max_examples=300)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_lifted_programs_mean_what_numpy_means(text, seed, tmp_path):
    check_interpreted(text, seed, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(many, max_examples=10_000)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_many_lifted_programs_mean_what_numpy_means(text, seed, tmp_path):
    check_interpreted(text, seed, tmp_path)
