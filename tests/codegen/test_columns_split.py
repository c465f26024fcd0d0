"""What leaves the loops over columns is computed as it was, and only where nothing waits for it."""

from __future__ import annotations

from pathlib import Path

import ir_interpreter
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from test_columns import HEAD, needs_compiler
from test_emit_c import compiled
from test_lifting import SHAPES, agrees, arguments, reference_of

from outpace.codegen.drafters.builtin import c_forms
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.c.emit import COptions, c_source
from outpace.codegen.nests.ir import Allocate, Loop, Nest, Position, Program, Statement
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.rewriting.distances import When, when
from outpace.codegen.nests.rewriting.strips import Lanes, lanes_of
from outpace.codegen.reference import Reference

STATEMENTS = (
    "p[:, k] = 0.5 * a[:, k] + b[:, k - 1] * b[:, k + 1]",
    "p[:, k] = p[:, k - 1] * (1.0 / (4.0 + a[:, k] * a[:, k])) + b[:, k]",
    "p[:, k] = p[:, k + 1] - p[:, k - 1] * (a[:, k] - b[:, k])",
    "p[:, k + 1] = a[:, k] * b[:, k] - 0.25 * out[:, k]",
    "p[:, k - 1] = q * (a[:, k + 1] - a[:, k - 1])",
    "out[:, k] = 2.0 * p[:, k] - a[:, k] * q",
    "out[:, k] = out[:, k + 1] * 0.5 + a[:, k] * b[:, k]",
    "out[:, k] = out[:, k] + t * (a[:, k] + b[:, k])",
    "out[:, k] = np.where(a[:, k] > 0, p[:, k - 1] * t, b[:, k] * b[:, k] * t)",
    "out[:, 1] = out[:, k] + a[:, k] * b[:, k]",
    "out[:, 0] = a[:, k] + a[:, k] * b[:, k]",
    "q[:] = 0.5 * q + a[:, k] * b[:, k] * b[:, k]",
    "q[:] = np.minimum(p[:, k], a[:, k] - b[:, k] * t)",
    "q[:] = a[:, k] * a[:, k - 1] + b[:, k]",
    "t = a[:, k] * b[:, k + 1] - b[:, k]",
    "t = 0.5 * a[:, k]",
    "t = p[:, k] + a[:, k] * b[:, k]",
    "t = t * t - q",
)
HARD = {
    "a late value is read at once": (
        "q[:] = 0.5 * q + a[:, k] * b[:, k]",
        "out[:, k] = 2.0 * q - a[:, k] * b[:, k]",
        "p[:, k] = 0.25 * out[:, k]",
    ),
    "a late value is read by the next iteration": (
        "p[:, k] = 0.25 * out[:, k - 1]",
        "q[:] = 0.5 * q + a[:, k] * b[:, k]",
        "out[:, k] = 2.0 * q - a[:, k] * b[:, k]",
    ),
    "what was there is read before it is overwritten": (
        "q[:] = 0.5 * q + p[:, k + 1] - a[:, k] * b[:, k]",
        "p[:, k] = a[:, k] * b[:, k] + b[:, k]",
        "out[:, k] = q",
    ),
    "what was there is read in the same iteration": (
        "q[:] = 0.5 * q + p[:, k]",
        "p[:, k] = a[:, k] * b[:, k] + b[:, k]",
        "out[:, k] = q",
    ),
    "a value known before outlives the loop": (
        "q[:] = a[:, k] * a[:, k - 1] + b[:, k]",
        "out[:, k] = out[:, k - 1] + q",
    ),
    "an element is overwritten twice": (
        "p[:, k] = p[:, k - 1] + a[:, k] * b[:, k]",
        "p[:, k] = p[:, k] * 0.5 + a[:, k] * b[:, k]",
        "p[:, k + 1] = a[:, k] * b[:, k] - b[:, k]",
    ),
    "a scalar changes after it was needed": (
        "q[:] = 0.5 * q + a[:, k] * b[:, k]",
        "out[:, k] = 2.0 * q - a[:, k] * b[:, k]",
        "q[:] = q + a[:, k] * b[:, k]",
    ),
    "the last iteration decides": (
        "p[:, 0] = a[:, k] * b[:, k] + b[:, k]",
        "q[:] = 0.5 * q + a[:, k] * b[:, k] * b[:, k]",
        "out[:, 1] = 2.0 * q - a[:, k] * b[:, k]",
    ),
}
"""Loops of which a careless split would change the meaning."""
LOOPS = ("for k in range(1, m - 1):", "for k in range(m - 2, 0, -1):")
START = """
    p[:] = b
    out[:] = a
    q = np.zeros(n)
    for k in range(m):
        q[:] = 0.5 * q + a[:, k]
"""
END = ("q[:] = 0.5 * q + p[:, 0]", "p[:, 0] = q", "out[:] = out - p", "return out")
SCALAR_END = ("q[:] = 0.5 * q + p[:, 0]", "out[:, 0] = q", "return out")
"""With which `q` is a scalar of its column."""
SOLVER = """
    c = np.empty((n, m))
    c[:, 0] = 0.5 * a[:, 0]
    p[:, 0] = b[:, 0]
    for k in range(1, m):
        low = 0.25 * (a[:, k] + a[:, k - 1])
        c[:, k] = low + b[:, k] * 0.5
        scale = 1.0 / (4.0 + c[:, k] - c[:, k - 1] * low)
        c[:, k] = c[:, k] * scale
        p[:, k] = (b[:, k] - p[:, k - 1] * low) * scale
    out[:] = p
    return out
"""


@st.composite
def recurrences(draw: st.DrawFn) -> str:
    """Loops along the last axis, in which some statements wait for other iterations."""
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        lines.append(draw(st.sampled_from(LOOPS)))
        lines.append("    t = b[:, k] * 0.5 + a[:, k]")
        inner = draw(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=5))
        lines += [f"    {s}" for s in inner]
        if draw(st.booleans()):
            lines.append("q[:] = 0.5 * q + p[:, 0]")
    lines += draw(st.sampled_from((END, SCALAR_END)))
    text = "".join(f"    {line}\n" for line in lines)
    return HEAD + START + text


def forms_of(reference: Reference) -> dict[str, Program]:
    """Forms for C by name."""
    return dict(c_forms(lift(reference), reorder=False))


def parts_of(program: Program) -> list[list[type[Statement]]]:
    """What the nests with loops consist of."""
    nests = [s for s in program.body if isinstance(s, Nest)]
    return [
        [type(s) for s in n.body if not isinstance(s, Allocate)]
        for n in nests
        if any(isinstance(s, Loop) for s in n.body)
    ]


def test_a_solver_along_the_last_axis_keeps_only_its_recurrence_in_the_loop(tmp_path):
    form = forms_of(reference_of(HEAD + SOLVER, tmp_path))["recomputed, columns split"]
    nest = next(s for s in walk.statements(form.body) if isinstance(s, Nest) and lanes_of(s))
    assert lanes_of(nest) is Lanes.ALONG
    loop = next(s for s in nest.body if isinstance(s, Loop))
    assert [e.array for e in walk.loads([loop])].count("a") == 0
    assert any(isinstance(s, Nest) for s in nest.body)


@pytest.mark.parametrize(
    ("text", "is_split"),
    [
        ("out[:, k] = out[:, k - 1] + 1.0 / (4.0 + a[:, k])", True),
        ("out[:, k] = out[:, k - 1] * a[:, k] + b[:, k]", False),
        ("out[:, k] = out[:, k - 1] * out[:, k - 1] * out[:, k - 1]", False),
    ],
    ids=["a slow part", "nothing but loads", "all waits"],
)
def test_only_what_is_worth_memory_leaves_the_loop(text, is_split, tmp_path):
    body = f"    out[:, 0] = a[:, 0]\n    for k in range(1, m):\n        {text}\n    return out\n"
    forms = forms_of(reference_of(HEAD + body, tmp_path))
    assert ("recomputed, columns split" in forms) is is_split


@given(
    factor=st.sampled_from((-2, -1, 1, 2)),
    offsets=st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
    rows=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    step=st.sampled_from((1, -1)),
)
@example(factor=1, offsets=(0, 0), rows=(0, 1), step=1)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_when_is_what_counting_says(factor, offsets, rows, step):
    here, there = (
        (
            Position(affine.constant(row)),
            Position(affine.linear({"k": factor}, offset)),
        )
        for offset, row in zip(offsets, rows, strict=True)
    )
    order = list(range(-9, 10))[::step]
    meets = {
        order.index(other) - order.index(0)
        for other in order
        if factor * other + offsets[1] == offsets[0] and rows[0] == rows[1]
    }
    expected = {
        When.NEVER if not meets else
        When.SAME if meets == {0} else
        When.LATER if min(meets) > 0 else When.EARLIER
    }  # fmt: skip
    assert {when(here, there, "k", step)} == expected


def test_when_is_unknown_without_an_axis_that_decides():
    k, j = affine.symbol("k"), affine.symbol("j")
    assert when((Position(k),), (Position(j),), "k", 1) is When.UNKNOWN
    assert when((Position(j),), (Position(j),), "k", 1) is When.UNKNOWN
    assert when((Position(k),), (Position(affine.times(k, 2)),), "k", 1) is When.UNKNOWN


def run_many(examples: int, folder: Path, *, compile_it: bool) -> int:
    """Random loops; how many of them were split."""
    found = 0

    @settings(
        deadline=None,
        derandomize=True,
        max_examples=examples,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(text=recurrences(), seed=st.integers(0, 2**20))
    def one(text: str, seed: int) -> None:
        nonlocal found
        reference = reference_of(text, folder)
        forms = forms_of(reference)
        split = forms.get("recomputed, columns split")
        if split is None:
            return
        found += 1
        whole = forms["recomputed, columns"]
        for k, shape in enumerate(((3, 1), (1, 3), (2, 7))):
            same_bits(reference, whole, split, seed + k, shape)
        if compile_it:
            source = c_source(split, reference.contract, COptions())
            widths = {"SHORT_STRIP": (3, 8)[seed % 2], "PARALLEL": 1}
            params = {p.name: widths[p.name] for p in source.parameters if p.name in widths}
            kernel = compiled(reference, source, folder, params)
            for k, shape in enumerate(SHAPES):
                agrees(reference, kernel, seed + k, shape)

    one()
    return found


@pytest.mark.parametrize("end", [END, SCALAR_END], ids=["array", "scalar"])
@pytest.mark.parametrize("head", LOOPS, ids=["up", "down"])
@pytest.mark.parametrize("case", HARD)
def test_a_split_waits_where_it_must(case, head, end, tmp_path):
    lines = (head, *(f"    {s}" for s in HARD[case]), *end)
    text = "".join(f"    {line}\n" for line in lines)
    reference = reference_of(HEAD + START + text, tmp_path)
    forms = forms_of(reference)
    for k, shape in enumerate(((3, 3), (2, 7))):
        same_bits(reference, forms["recomputed"], forms["recomputed, columns split"], k, shape)


def same_bits(
    reference: Reference, whole: Program, split: Program, seed: int, shape: tuple[int, int]
) -> None:
    """Compare two forms, to the last bit, where the reference takes the shape."""
    results = []
    for form in (whole, split):
        given_ = arguments(reference, seed, shape)
        out = np.full(shape, 77.0)
        with np.errstate(all="ignore"):
            ir_interpreter.run(form, *given_, out)
        results.append(out)
    np.testing.assert_array_equal(*results)


def test_random_loops_mean_the_same_to_the_last_bit_when_split(tmp_path):
    assert run_many(25, tmp_path, compile_it=False) > 15


@needs_compiler
def test_random_loops_that_are_split_mean_the_same_in_c(tmp_path):
    assert run_many(8, tmp_path, compile_it=True) > 3


@needs_compiler
@pytest.mark.soak
def test_many_random_loops_that_are_split_mean_the_same_in_c(tmp_path):
    assert run_many(400, tmp_path, compile_it=True) > 200
