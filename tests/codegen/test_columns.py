"""Loops carried out point by point mean what loops over whole arrays mean."""

from __future__ import annotations

from pathlib import Path

import ir_interpreter
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_emit_c import compiled
from test_lifting import SHAPES, agrees, reference_of

from outpace.codegen.drafters.builtin import c_forms
from outpace.codegen.nests import walk
from outpace.codegen.nests.c.emit import COptions, CSource, c_source
from outpace.codegen.nests.ir import Allocate, Program
from outpace.codegen.nests.lift import lift
from outpace.codegen.reference import Reference
from outpace.kernels.languages.c import C

HEAD = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    n, m = a.shape
    p = np.empty((n, m))
    out = np.empty((n, m))
"""
THOMAS = """
    c = np.empty((n, m))
    x = np.empty({lanes})
    c[{zero}] = 0.5 * a[{zero}]
    p[{zero}] = b[{zero}]
    for k in range(1, {steps}):
        scale = 1.0 / (4.0 + c[{before}] * a[{here}])
        c[{here}] = a[{here}] * scale
        p[{here}] = (b[{here}] - p[{before}]) * scale
    x[:] = p[{last}]
    out[{last}] = x
    for k in range({steps} - 2, -1, -1):
        x[:] = p[{here}] - c[{here}] * x
        out[{here}] = x + b[{here}]
    return out
"""
BY_ROWS = {
    "steps": "n", "lanes": "m", "zero": "0, :", "last": "n - 1, :", "here": "k, :",
    "before": "k - 1, :", "after": "k + 1, :",
}  # fmt: skip
BY_COLUMNS = {
    "steps": "m", "lanes": "n", "zero": ":, 0", "last": ":, m - 1", "here": ":, k",
    "before": ":, k - 1", "after": ":, k + 1",
}  # fmt: skip
SHIFTED = """
    x = np.zeros(m)
    p[0, :] = a[0, :]
    for k in range(1, n):
        x[1:] = p[k - 1, :-1]
        p[k, :] = a[k, :] + x
    out[:] = p
    return out
"""
STATEMENTS = (
    "p[{here}] = 0.5 * a[{here}] + p[{here}] * q",
    "out[{here}] = out[{here}] - 0.25 * p[{here}]",
    "q[:] = 0.5 * q + b[{here}]",
    "t = p[{here}] * 0.5 - q",
    "out[{here}] = np.where(a[{here}] > 0, q, out[{here}])",
    "q[:] = np.minimum(q, a[{here}] * b[{here}])",
    "q[1:] = p[{here}][:-1]",
)
FORWARD = ("p[{here}] = p[{before}] + 0.5 * q", "out[{here}] = out[{before}] * a[{here}]")
BACKWARD = ("p[{here}] = p[{after}] - 0.5 * q", "out[{here}] = b[{here}] - 0.5 * out[{after}]")
WIDTHS = {
    "STRIP": (2, 4),
    "SHORT_STRIP": (3, 8),
    "LONG_STRIP": (3, 64),
    "REGISTER_STRIP": (2, 8),
    "PARALLEL": (1, 0),
}


@st.composite
def sweeps(draw: st.DrawFn) -> str:
    """Sweeps forwards and backwards through rows or columns, which carry rows with them."""
    places = draw(st.sampled_from((BY_ROWS, BY_COLUMNS)))
    lines = [
        "q = np.zeros({lanes})",
        "for k in range({steps}):",
        "    q[:] = 0.5 * q + a[{here}]",
        "    p[{here}] = q",
        "    out[{here}] = b[{here}] - q",
    ]
    for _ in range(draw(st.integers(1, 3))):
        forward = draw(st.booleans())
        pool = (*STATEMENTS, *(FORWARD if forward else BACKWARD))
        inner = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4))
        lines.append("for k in range(1, {steps}):" if forward else DOWN)
        lines += [f"    {s}" for s in inner]
        if draw(st.booleans()):
            lines.append("q[:] = 0.5 * q")
    text = "".join(f"    {line}\n" for line in [*lines, "return out"])
    return HEAD + text.format(**places)


DOWN = "for k in range({steps} - 2, -1, -1):"


def by_columns_of(reference: Reference) -> Program | None:
    """The form by columns, if there is one."""
    return next((f for i, f in c_forms(lift(reference), reorder=True) if "columns" in i), None)


def check(reference: Reference, seed: int, folder: Path, *, compile_it: bool) -> bool:
    """Interpret or compile the form by columns and compare; False if there is none."""
    form = by_columns_of(reference)
    if form is None:
        return False
    kernels = [lambda *values: ir_interpreter.run(form, *values)]
    if compile_it:
        source: CSource = c_source(form, reference.contract, COptions(fastmath=seed % 2 == 0))
        params = {p.name: WIDTHS[p.name][seed // 2 % 2] for p in source.parameters}
        kernels = [compiled(reference, source, folder, params)]
    for kernel in kernels:
        for k, shape in enumerate(SHAPES):
            agrees(reference, kernel, seed + k, shape)
    return True


@pytest.mark.parametrize("places", [BY_ROWS, BY_COLUMNS], ids=["rows", "columns"])
def test_a_tridiagonal_solver_keeps_one_column_of_its_temporaries(places, tmp_path):
    reference = reference_of(HEAD + THOMAS.format(**places), tmp_path)
    form = by_columns_of(reference)
    assert form is not None
    made = [s.array for s in walk.statements(form.body) if isinstance(s, Allocate)]
    assert sorted(len(a.shape) for a in made) == [1, 1]  # c and p; x is a scalar
    assert check(reference, 1, tmp_path, compile_it=False)


def test_what_moves_between_columns_stays_as_it_is(tmp_path):
    assert by_columns_of(reference_of(HEAD + SHIFTED, tmp_path)) is None


needs_compiler = pytest.mark.skipif(
    C.unavailable() is not None, reason=f"no C compiler: {C.unavailable()}"
)


@needs_compiler
@pytest.mark.parametrize("seed", [0, 2], ids=["narrow", "wide"])
@pytest.mark.parametrize("places", [BY_ROWS, BY_COLUMNS], ids=["rows", "columns"])
def test_a_tridiagonal_solver_by_strips_of_any_width(places, seed, tmp_path):
    reference = reference_of(HEAD + THOMAS.format(**places), tmp_path)
    assert check(reference, seed, tmp_path, compile_it=True)


def run_many(examples: int, folder: Path, *, compile_it: bool) -> int:
    """Random sweeps; how many of them had a form by columns."""
    found = 0

    @settings(
        deadline=None,
        derandomize=True,
        max_examples=examples,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(text=sweeps(), seed=st.integers(0, 2**20))
    def one(text: str, seed: int) -> None:
        nonlocal found
        found += check(reference_of(text, folder), seed, folder, compile_it=compile_it)

    one()
    return found


def test_random_sweeps_by_columns_keep_their_meaning(tmp_path):
    assert run_many(40, tmp_path, compile_it=False) > 20


@needs_compiler
def test_random_sweeps_by_strips_keep_their_meaning(tmp_path):
    assert run_many(12, tmp_path, compile_it=True) > 5


@needs_compiler
@pytest.mark.soak
def test_many_random_sweeps_by_strips_keep_their_meaning(tmp_path):
    assert run_many(600, tmp_path, compile_it=True) > 300
