"""A second buffer of which only borders are filled holds what anything reads of it."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import ir_interpreter
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sweep_programs import Sweep, sweeps
from test_emit_c import compiled, source_of
from test_lifting import Kernel, reference_of
from test_lifting import agrees as agrees_with
from test_random_programs_c import Written, kernels

from outpace.codegen.nests.ir import If, Nest, Program, Store
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.printer import program_text
from outpace.codegen.nests.rewriting.borders import bordered
from outpace.codegen.nests.rewriting.fuse import fused
from outpace.codegen.nests.rewriting.pingpong import ping_ponged
from outpace.codegen.reference import Reference
from outpace.kernels.languages.c import C
from outpace.kernels.library import climate
from outpace.model import Parameter

needs_compiler = pytest.mark.skipif(
    C.unavailable() is not None, reason=f"no C compiler: {C.unavailable()}"
)
HEAD = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    u, new = a.copy(), b.copy()
    for t in range(3):
"""
STEP = """
        new[1:-1, 2:] = 0.5 * (u[:-2, 1:-1] + u[2:, 2:])
        u, new = new, u
"""


def test_the_second_buffer_gets_its_borders_alone(golden):
    program = fused(bordered(ping_ponged(lift(climate.heat_3d.reference))))
    golden("heat_3d.nests.txt", program_text(program))


def bordered_of(text: str, folder: Path) -> tuple[Program, Program]:
    """A program before and after the pass."""
    program = ping_ponged(lift(reference_of(text, folder)))
    return program, bordered(program)


def test_small_extents_are_filled_whole(tmp_path):
    before, after = bordered_of(HEAD + STEP + "    return u\n", tmp_path)
    (choice,) = [s for s in after.body if isinstance(s, If)]
    assert len(choice.body) == 3
    assert choice.orelse == (before.body[before.body.index(choice.orelse[0])],)


def test_nothing_is_asked_of_extents_that_are_never_small(tmp_path):
    text = (HEAD + STEP + "    return u\n").replace('"n m"', '"n+2 m+2"')
    _, after = bordered_of(text, tmp_path)
    assert not [s for s in after.body if isinstance(s, If)]
    assert sum(isinstance(s, Nest | Store) for s in after.body) == 5


def test_a_buffer_that_is_written_whole_is_not_filled(tmp_path):
    text = HEAD + "        new[:, :] = 0.5 * u + t\n        u, new = new, u\n    return u\n"
    before, after = bordered_of(text, tmp_path)
    assert len(after.body) == len(before.body) - 1


@pytest.mark.parametrize(
    "text",
    [
        HEAD + STEP + "    return u + new\n",
        HEAD + "        b = b + new\n" + STEP + "    return u + b\n",
        HEAD + "        u, new = new, u\n" + STEP + "    return u\n",
        HEAD + "        if b[0, 0] > 0:\n            new[1:] = u[1:]\n" + STEP + "    return u\n",
        HEAD + "        new[1:-1] = u[2:] + new[1:-1]\n        u, new = new, u\n    return u\n",
        HEAD + "        new[t:] = 0.5 * u[t:]\n        u, new = new, u\n    return u\n",
        HEAD + "        for i in range(1, n):\n            new[i] = new[i - 1] + u[i]\n" + STEP
        + "    return u\n",
    ],
    ids=[
        "read after", "read before", "exchanged before", "perhaps written", "read in it",
        "a box that moves", "a row at a time",
    ],
)  # fmt: skip
def test_what_might_be_read_is_filled(text, tmp_path):
    text = text.replace("    u, new = a", "    n = a.shape[0]\n    u, new = a", 1)
    before, after = bordered_of(text, tmp_path)
    assert before == after


KEPT_STATE = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    u = a.copy()
    old = u.copy()
    new = u.copy()
    u *= 2.0
    for t in range(4):
        new[1:-1] = 0.5 * (old[2:] + old[:-2]) + b[1:-1]
        old, new = new, old
    u[:] = old
    return u
"""


@needs_compiler
def test_an_output_that_changes_before_the_loop_is_no_buffer(tmp_path):
    reference = reference_of(KEPT_STATE, tmp_path)
    kernel = compiled(reference, source_of(reference), tmp_path)
    for seed, shape in enumerate([(7, 5), (1, 3), (2, 2)]):
        assert agrees_with(reference, kernel, seed, shape)


# --- Random sweeps ------------------------------------------------------------------------------

many = settings(
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def agrees(sweep: Sweep, reference: Reference, kernel: Kernel, seed: int, most: int) -> bool:
    """Compare a kernel with NumPy bit by bit; False if the reference raises here."""
    given = sweep.inputs(seed, most)
    try:
        want = reference.fn(*copy.deepcopy(given))
    except (ValueError, IndexError):
        return False
    got = np.full_like(want, 77.0)
    kernel(*given, got)
    np.testing.assert_array_equal(got, want)
    return True


def test_random_sweeps_read_nothing_that_was_not_filled(tmp_path):
    changed = compared = 0

    @settings(many, max_examples=40)
    @given(sweep=sweeps(), seed=st.integers(0, 2**20))
    def one(sweep: Sweep, seed: int) -> None:
        nonlocal changed, compared
        reference = sweep.reference(tmp_path)
        before = ping_ponged(lift(reference))
        after = bordered(before)
        if before == after:
            return
        changed += 1
        for k in range(6):
            compared += agrees(
                sweep, reference, lambda *v: ir_interpreter.run(after, *v), seed + k, 5
            )

    one()
    assert changed >= 15
    assert compared >= 60


def compare_in_c(examples: int, together: int, folder: Path) -> int:
    """Random sweeps in C, with poison for memory that nothing filled; how many there were."""
    drawn: dict[Sweep, tuple[int, dict[str, int]]] = {}
    choices = st.fixed_dictionaries(
        {"TIME": st.sampled_from((1, 2, 16)), "LINES": st.sampled_from((1, 2, 5, 4096))}
    )

    @settings(many, max_examples=examples)
    @given(sweep=sweeps(), seed=st.integers(0, 2**20), chosen=choices)
    def draw(sweep: Sweep, seed: int, chosen: dict[str, int]) -> None:
        drawn[sweep] = (seed, chosen)

    draw()
    found = list(drawn.items())
    compared = 0
    for first in range(0, len(found), together):
        part = found[first : first + together]
        written = [in_c(sweep, seed, chosen, folder) for sweep, (seed, chosen) in part]
        by_flags = {tuple(one.source.flags): one.source.flags for one in written}
        flags = {name: value for own in by_flags.values() for name, value in own.items()}
        written = [one._replace(source=replace(one.source, flags=flags)) for one in written]
        compared += compare(zip(part, written, kernels(written, folder), strict=True))
    return compared


def in_c(sweep: Sweep, seed: int, chosen: dict[str, int], folder: Path) -> Written:
    """A sweep with values chosen for some parameters, and fresh memory full of NaN."""
    reference = sweep.reference(folder)
    source = source_of(reference, fastmath=False)
    poison = "    __builtin_memset(memory, 255, (size_t)count * size);\n    return memory;"
    parameters = tuple(
        Parameter(p.name, (chosen.get(p.name, p.values[0]),)) for p in source.parameters
    )
    text = source.text.replace("    return memory;", poison)
    return Written(sweep.text, seed, reference, replace(source, text=text, parameters=parameters))


def compare(written: Iterable[tuple[tuple[Sweep, object], Written, Kernel]]) -> int:
    compared = 0
    for (sweep, _), one, kernel in written:
        try:
            for k in range(12):
                compared += agrees(sweep, one.reference, kernel, one.seed + k, 8 if k % 2 else 3)
        except AssertionError as error:
            raise AssertionError(f"{one.text}\n{one.source.text}\n{error}") from error
    return compared


@needs_compiler
def test_random_sweeps_in_c_agree_bit_by_bit(tmp_path):
    assert compare_in_c(16, 16, tmp_path) >= 80


@needs_compiler
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_random_sweeps_in_c_agree_bit_by_bit(tmp_path):
    assert compare_in_c(1_000, 50, tmp_path) >= 6_000
