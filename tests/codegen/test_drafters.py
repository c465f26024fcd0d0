"""What every drafter must keep, and what the built-in one drafts for the library."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from jaxtyping import Float64

from outpace.codegen.abi import slots
from outpace.codegen.drafters import DraftingTask, drafter_named
from outpace.codegen.drafters.plain import plain_source
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import UsageError
from outpace.kernels.library import aerospace, astro, climate, genomics, linalg, medical, quantum
from outpace.model import Target

TARGET = Target("x86_64", "some cpu", 2)
LIBRARY = {
    f.reference.fn.__name__: f.reference
    for f in (
        climate.hdiff,
        climate.heat_3d,
        genomics.smith_waterman,
        aerospace.cavity_flow,
        aerospace.jacobi_2d,
        medical.backproject,
        quantum.apply_gate,
        astro.nbody,
        linalg.softmax,
        linalg.conv2d,
    )
}
WORKLOADS = {"w": {"n": 4}}
SCALE = 2.5


def solve(a: Float64[np.ndarray, "n n"], b: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Not a loop nest."""
    c = SCALE * b
    return np.linalg.solve(a, c)


def early(a: Float64[np.ndarray, "n"], kernel: float) -> float:
    """Return at two places."""
    if kernel > 0:
        return a.sum()
    return 0.0


def halved(a: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Help the next one."""
    return 0.5 * a


def both(
    a: Float64[np.ndarray, "n"], steps: int
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Return a local array called like an output, and an expression."""
    out0 = a.copy()
    for _ in range(steps):
        out0 += halved(a)
    out1 = np.zeros(a.shape[0])
    out1[:] = out0
    return out1, out0 - 1.0


def proposal(reference, *, target=TARGET, languages=("numba",), round_=0):
    task = DraftingTask(reference, target, languages, round=round_)
    return drafter_named("builtin").propose(task)


def run(source: str, *arguments):
    names = {}
    exec(compile(source.replace("@numba.njit", "# "), "<draft>", "exec"), names)
    names["kernel"](*arguments)


@pytest.mark.parametrize("name", LIBRARY)
def test_every_draft_is_a_module_with_the_right_kernel(name):
    reference = LIBRARY[name]
    drafts = proposal(reference).drafts
    for draft in drafts:
        functions = [s for s in ast.parse(draft.source).body if isinstance(s, ast.FunctionDef)]
        kernel = next(f for f in functions if f.name == "kernel")
        assert [a.arg for a in kernel.args.args] == [s.name for s in slots(reference.contract)]
        assert not any(isinstance(n, ast.Return) and n.value for n in ast.walk(kernel))
        assert draft.language == "numba"
        assert draft.provenance.drafter == "builtin"
    assert len({d.hash for d in drafts}) == len(drafts)


@pytest.mark.parametrize("name", LIBRARY)
def test_proposals_repeat_and_hold_plain_numba_and_nests(name):
    drafts = proposal(LIBRARY[name]).drafts
    assert [d.hash for d in drafts] == [d.hash for d in proposal(LIBRARY[name]).drafts]
    ideas = [d.provenance.idea for d in drafts]
    assert ideas.count("plain numba") == 1
    assert ideas[0].startswith("nests, ")


def test_what_is_not_lifted_is_said_and_drafted_plainly():
    reference = Reference(solve, ReferenceOptions(WORKLOADS))
    found = proposal(reference)
    assert len(found.notes) == 1
    line = solve.__code__.co_firstlineno + 3
    assert f"line {line}: a call of numpy.linalg.solve" in found.notes[0]
    assert all(
        d.provenance.idea.startswith(("plain numba", "nests, library")) for d in found.drafts
    )


def test_reproducible_contracts_get_no_fastmath():
    options = ReferenceOptions(WORKLOADS, reproducible=True)
    drafts = proposal(Reference(solve, options)).drafts
    assert drafts
    assert not any("fastmath" in d.source for d in drafts)


def test_one_core_gets_no_threads():
    drafts = proposal(LIBRARY["hdiff"], target=Target("x86_64", "some cpu", 1)).drafts
    assert not any("parallel" in d.source for d in drafts)


def test_later_rounds_and_other_languages_end_drafting():
    assert proposal(LIBRARY["hdiff"], round_=1).drafts == ()
    assert proposal(LIBRARY["hdiff"], languages=("triton",)).drafts == ()


def test_only_the_wanted_languages_are_drafted():
    for wanted in (("c",), ("numba",), ("numba", "c"), ("cuda",)):
        drafts = proposal(LIBRARY["hdiff"], languages=wanted).drafts
        assert {d.language for d in drafts} == set(wanted)


def test_unknown_drafters_are_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"no drafter 'magic'; known are: builtin"):
        drafter_named("magic")


def test_plain_form_with_early_returns_wraps_the_reference():
    source = plain_source(Reference(early, ReferenceOptions(WORKLOADS)))
    out = np.empty(1)
    run(source, np.arange(4.0), 1.0, out)
    assert out[0] == 6.0
    assert "_reference(a, kernel)" in source


def test_plain_form_writes_returned_arrays_in_place():
    source = plain_source(Reference(both, ReferenceOptions({"w": {"n": 4, "steps": 1}})))
    a = np.arange(4.0)
    out0, out1 = np.full(4, np.nan), np.full(4, np.nan)
    run(source, a, 3, out0, out1)
    expected = both(a, 3)
    np.testing.assert_array_equal(out0, expected[0])
    np.testing.assert_array_equal(out1, expected[1])
    assert "np.zeros" not in source


def test_plain_form_carries_constants_and_helpers():
    source = plain_source(Reference(solve, ReferenceOptions(WORKLOADS)), ["parallel=True"])
    assert "SCALE = 2.5" in source
    a, out = np.eye(4), np.empty(4)
    run(source, a, np.ones(4), out)
    np.testing.assert_allclose(out, 2.5)
