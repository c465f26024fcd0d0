"""What is kept from row to row is what would have been computed again."""

from __future__ import annotations

from pathlib import Path

import ir_interpreter
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_emit_c import compiled
from test_lifting import reference_of

from outpace.codegen.drafters.builtin import c_forms
from outpace.codegen.nests import walk
from outpace.codegen.nests.c.emit import COptions, c_source
from outpace.codegen.nests.ir import Loop, Program
from outpace.codegen.nests.lift import lift
from outpace.codegen.reference import Reference
from outpace.kernels.languages.c import C

HEAD = """
def f(a: Float64[np.ndarray, "m n+3 m"], b: Float64[np.ndarray, "m n m"]
) -> Float64[np.ndarray, "m n m"]:
"""
FIRST = (
    "0.5 * a[:, 1:] + a[:, :-1] * a[:, 1:] - 0.25 * a[:, :-1]",
    "np.where(a[:, 1:] > a[:, :-1], a[:, 1:] * 2.0 - 1.0, a[:, :-1]) * 0.5",
    "np.minimum(a[:, 1:] * 3.0, a[:, :-1] + 1.0) - np.abs(a[:, 1:])",
    "a[:, 1:] + 1.0",
)
SECOND = (
    "np.where(s[:, 1:] * s[:, :-1] > 0.0, 0.0, s[:, 1:] - s[:, :-1])",
    "0.5 * s[:, 1:] - s[:, :-1] * a[:, 1:-1]",
    "s[:, 1:] * a[:, 2:] + s[:, :-1]",
)
THIRD = (
    "b * (t[:, 1:] - t[:, :-1])",
    "t[:, 1:] * 0.5 + t[:, :-1] + s[:, 1:-1]",
    "np.where(b > 0.0, t[:, 1:], b) - t[:, :-1]",
)
SIZES = ((3, 4), (0, 3), (1, 2), (2, 1), (5, 9), (3, 0))
LIMITER = (FIRST[0], SECOND[0], THIRD[0])


def text_of(first: str, second: str, third: str) -> str:
    return f"{HEAD}    s = {first}\n    t = {second}\n    return {third}\n"


def by_rows(reference: Reference) -> Program | None:
    """The form that keeps rows, if there is one."""
    return next((f for i, f in c_forms(lift(reference), reorder=True) if "rows kept" in i), None)


def check(stages: tuple[str, str, str], seed: int, folder: Path, *, compile_it: bool) -> bool:
    """Interpret or compile the form that keeps rows and compare; False if there is none."""
    reference = reference_of(text_of(*stages), folder)
    form = by_rows(reference)
    if form is None:
        return False
    kernel = lambda *values: ir_interpreter.run(form, *values)  # noqa: E731
    if compile_it:
        source = c_source(form, reference.contract, COptions(fastmath=seed % 2 == 0))
        kernel = compiled(reference, source, folder)
    rng = np.random.default_rng(seed)
    for n, m in SIZES:
        a, b = rng.integers(-9, 9, (m, n + 3, m)) / 4, rng.integers(-9, 9, (m, n, m)) / 4
        expected = reference.fn(a, b)
        got = np.full_like(expected, 77.0)
        kernel(a, b, got)
        np.testing.assert_array_equal(got, expected)  # these numbers are exact
    return True


def test_a_limiter_keeps_its_flux_and_its_first_stage(tmp_path):
    form = by_rows(reference_of(text_of(*LIMITER), tmp_path))
    assert form is not None
    (loop,) = [s for s in walk.statements(form.body) if isinstance(s, Loop)]
    kept = {s.array for s in walk.stores(loop.body)}
    assert len(kept) == 3  # the flux, what it is made of, and the result
    rows = {str(e.indices[1]) for e in walk.loads(loop.body) if e.array == "a"}
    assert len(rows) == 2  # nothing of the rows behind is loaded again


def test_cheap_expressions_are_computed_again(tmp_path):
    stages = (FIRST[3], "s[:, 1:] + s[:, :-1]", "t[:, 1:] - t[:, :-1] + b")
    assert not check(stages, 0, tmp_path, compile_it=False)


def run_many(examples: int, folder: Path, *, compile_it: bool) -> int:
    """Random pipelines; how many of them keep rows."""
    found = 0

    @settings(
        deadline=None,
        derandomize=True,
        max_examples=examples,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(
        stages=st.tuples(*(st.sampled_from(pool) for pool in (FIRST, SECOND, THIRD))),
        seed=st.integers(0, 2**20),
    )
    def one(stages: tuple[str, str, str], seed: int) -> None:
        nonlocal found
        found += check(stages, seed, folder, compile_it=compile_it)

    one()
    return found


def test_random_pipelines_that_keep_rows_keep_their_meaning(tmp_path):
    assert run_many(12, tmp_path, compile_it=False) > 6


@pytest.mark.skipif(C.unavailable() is not None, reason=f"no C compiler: {C.unavailable()}")
def test_random_pipelines_in_c_keep_their_meaning(tmp_path):
    assert run_many(6, tmp_path, compile_it=True) > 3


@pytest.mark.soak
@pytest.mark.skipif(C.unavailable() is not None, reason=f"no C compiler: {C.unavailable()}")
def test_many_random_pipelines_in_c_keep_their_meaning(tmp_path):
    assert run_many(200, tmp_path, compile_it=True) > 100
