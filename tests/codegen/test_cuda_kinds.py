"""Every kind of reference that is drafted in CUDA is right in simulation, at awkward sizes too."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from functools import cache
from math import prod
from pathlib import Path

import gpu_references
import ir_interpreter
import pytest
from array_programs import programs
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from simulated_kernels import SMALL, simulated
from test_emit_c import agrees
from test_lifting import SHAPES, lifted, many
from test_lifting import agrees as agrees_with
from test_lifting import reference_of as reference_from

from outpace.codegen.cuda import resolve, split_plan
from outpace.codegen.cuda.limits import MOST_SHARED
from outpace.codegen.cuda.prototype import launches
from outpace.codegen.drafters import DraftingTask, drafter_named
from outpace.codegen.inputs import Case
from outpace.codegen.llm.languages import section
from outpace.codegen.nests import affine
from outpace.codegen.nests.cuda.certain import certain_loads, is_within
from outpace.codegen.nests.cuda.kept import kept
from outpace.codegen.nests.cuda.vectors import lanes_of
from outpace.codegen.nests.ir import (
    Apply,
    Array,
    Constant,
    Load,
    Nest,
    Op,
    Position,
    Range,
    Store,
)
from outpace.codegen.nests.rewriting.fuse import fused
from outpace.codegen.nests.rewriting.independent import independent
from outpace.codegen.parse import parse_reply
from outpace.codegen.reference import Reference
from outpace.model import Draft, Provenance, Scalar, Target
from outpace.tuner.process import Failure
from outpace.tuner.simgpu.building import Build, unavailable

needs_simulation = pytest.mark.skipif(
    unavailable() is not None, reason=f"no simulated GPU: {unavailable()}"
)
MATRICES = [{"n": 9, "m": 70}, {"n": 6, "m": 64}, {"n": 1, "m": 1}, {"n": 3, "m": 0}]
PLANES = [
    {"y": 19, "x": 45, "steps": 9},
    {"y": 3, "x": 40, "steps": 2},
    {"y": 1, "x": 1, "steps": 3},
    {"y": 0, "x": 5, "steps": 1},
]
SCANS = [
    {"views": 9, "detectors": 17, "size": 13},
    {"views": 1, "detectors": 2, "size": 1},
    {"views": 0, "detectors": 3, "size": 5},
]
SIZES: dict[str, list[dict[str, int]]] = {
    "chain": [{"n": 1001}, {"n": 512}, {"n": 1}, {"n": 0}],
    "blend": MATRICES,
    "polynomial": MATRICES,
    "matmuls": [
        {"batch": 3, "m": 9, "k": 11, "n": 13},
        {"batch": 2, "m": 1, "k": 1, "n": 40},
        {"batch": 1, "m": 5, "k": 0, "n": 3},
    ],
    "fours": [{"batch": 131}, {"batch": 1}, {"batch": 0}],
    "matmul": [{"m": 33, "k": 21, "n": 19}, {"m": 1, "k": 5, "n": 1}, {"m": 4, "k": 0, "n": 9}],
    "softmax": [{"n": 5, "m": 130}, {"n": 1, "m": 1}, {"n": 0, "m": 3}],
    "conv": [
        {"batch": 2, "h": 5, "w": 11, "cin": 2, "cout": 3},
        {"batch": 1, "h": 1, "w": 1, "cin": 1, "cout": 1},
        {"batch": 1, "h": 2, "w": 3, "cin": 0, "cout": 1},
    ],
    "bodies": [{"n": 131}, {"n": 1}, {"n": 0}],
    "potential": [{"n": 130}, {"n": 4}, {"n": 1}, {"n": 0}],
    "nearest": SCANS,
    "linear": SCANS,
    "gate": [{"n": 64, "target": 2}, {"n": 256, "target": 7}, {"n": 2, "target": 0}],
    "split_gate": [{"blocks": 5, "inner": 7}, {"blocks": 1, "inner": 1}, {"blocks": 0, "inner": 2}],
    "diffuse": PLANES,
    "wave": PLANES,
    "heat": [
        {"z": 7, "y": 9, "x": 21, "steps": 5},
        {"z": 3, "y": 3, "x": 3, "steps": 4},
        {"z": 1, "y": 0, "x": 4, "steps": 1},
    ],
    "reductions": [{"n": 70, "m": 33}, {"n": 1, "m": 300}, {"n": 1, "m": 1}],
    "counts": [{"n": 1000}, {"n": 1}, {"n": 0}],
    "guarded": MATRICES,
    "pairs": [{"n": 131}, {"n": 1}, {"n": 0}],
    "looped": [{"n": 1001}, {"n": 512}, {"n": 1}, {"n": 0}],
    "turned": [{"y": 13, "x": 37}, {"y": 1, "x": 5}, {"y": 0, "x": 2}],
}
"""Extents of 1 and 0, and others that are no multiples of blocks, vectors and tiles."""
LOOSE = {"counts": 4e-6}
"""Where results of single precision are returned in double."""
DAILY = ("chain", "blend", "matmuls", "conv", "bodies", "linear", "split_gate", "wave")
"""Of each way of writing one or two; all are simulated by the soak."""


def reference_of(kind: str) -> Reference:
    found = getattr(gpu_references, kind).reference
    assert isinstance(found, Reference)
    return found


@cache
def drafts_of(kind: str) -> tuple[Draft, ...]:
    task = DraftingTask(reference_of(kind), Target("x86_64", "some cpu", 2), ("cuda",))
    proposal = drafter_named("builtin").propose(task)
    assert proposal.notes == ()
    return proposal.drafts


def small_for(kind: str) -> Mapping[str, Scalar]:
    """`SMALL`; three arrays that take turns are in their places again after four steps."""
    return {**SMALL, "TIME": 4} if kind == "wave" else SMALL


def variant(draft: Draft, rng: random.Random) -> dict[str, Scalar]:
    """Values of the draft's own that keep to its constraints."""
    while True:
        params = {p.name: rng.choice(p.values) for p in draft.parameters}
        if all(eval(c, {}, params) for c in draft.constraints):
            return params


def check(
    kind: str,
    draft: Draft,
    params: Mapping[str, Scalar],
    folder: Path,
    build: Build = Build.RACES,
) -> None:
    reference = reference_of(kind)
    with simulated(reference, draft, folder, params, build) as kernel:
        for seed, sizes in enumerate(SIZES[kind]):
            assert agrees(reference, kernel, Case(sizes, seed, "plain"), LOOSE.get(kind, 1e-10))


@needs_simulation
@pytest.mark.parametrize("kind", DAILY)
def test_the_first_draft_of_a_kind_agrees_with_it(kind, tmp_path):
    check(kind, drafts_of(kind)[0], small_for(kind), tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@needs_simulation
@pytest.mark.parametrize("build", Build)
@pytest.mark.parametrize("kind", SIZES)
def test_every_draft_of_a_kind_agrees_with_it_whatever_its_parameters(kind, build, tmp_path):
    rng = random.Random(f"{kind} {build}")
    for draft in drafts_of(kind):
        first = {p.name: p.values[0] for p in draft.parameters}
        plain = {**SMALL, "STAGED": 0, "TIME": 0, "VECTOR": 1}
        for params in (first, small_for(kind), plain, *(variant(draft, rng) for _ in range(3))):
            check(kind, draft, params, tmp_path, build)


# --- What is written ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("chain", {"BLOCK", "ITEMS", "VECTOR"}),
        ("blend", {"BLOCK_X", "BLOCK_Y", "ITEMS", "VECTOR"}),
        ("looped", {"BLOCK", "ITEMS", "VECTOR"}),
        ("gate", {"BLOCK_X", "BLOCK_Y", "ITEMS", "VECTOR"}),
        ("matmuls", {"BLOCK_X", "BLOCK_Y", "ITEMS", "STAGED"}),
        ("potential", {"BLOCK", "ITEMS", "STAGED", "ACCUMULATOR"}),
        ("diffuse", {"BLOCK_X", "BLOCK_Y", "ITEMS", "VECTOR", "TIME", "TILE_X", "TILE_Y"}),
        ("softmax", {"ROW"}),
    ],
)
def test_the_first_draft_of_a_kind_leaves_this_to_the_tuner(kind, wanted):
    assert wanted <= {p.name for p in drafts_of(kind)[0].parameters}


@pytest.mark.parametrize("kind", SIZES)
def test_blocks_are_as_large_as_the_kernels_promise_the_compiler(kind):
    rng = random.Random(kind)
    contract = reference_of(kind).contract
    for draft in drafts_of(kind):
        plan, code = split_plan(draft.source)
        found = re.findall(r"__launch_bounds__\(([^\n]*)\)\n(\w+)\(", code)
        bounds = {name: bound for bound, name in found}
        for params in ({p.name: p.values[0] for p in draft.parameters}, variant(draft, rng)):
            assert all(eval(c, {}, params) for c in draft.constraints)
            for sizes in (contract.workloads[0].sizes, *SIZES[kind]):
                for launch in resolve(plan, sizes, params, contract).launches:
                    assert prod(launch.block) == eval(bounds[launch.kernel], {}, params)
                    assert launch.shared <= MOST_SHARED


@needs_simulation
def test_tiles_may_be_larger_than_static_shared_memory(tmp_path):
    draft = drafts_of("diffuse")[0]
    params: dict[str, Scalar] = {
        **SMALL, "TIME": 3, "TILE_X": 128, "TILE_Y": 32, "THREADS": 1024,
    }  # fmt: skip
    reference = reference_of("diffuse")
    plan, _ = split_plan(draft.source)
    sizes = {"y": 40, "x": 150, "steps": 3}
    launches = resolve(plan, sizes, params, reference.contract).launches
    assert max(launch.shared for launch in launches) > 48 * 1024
    with simulated(reference, draft, tmp_path, params, Build.SANITIZED) as kernel:
        assert agrees(reference, kernel, Case(sizes, 1, "plain"), 1e-10)


@needs_simulation
def test_rows_that_are_no_multiple_of_vectors_would_be_misaligned_without_the_check(tmp_path):
    draft = drafts_of("blend")[0]
    careless = replace(draft, source=draft.source.replace("m % VECTOR == 0", "true"))
    assert careless.source != draft.source
    case = Case({"n": 9, "m": 67}, 1, "plain")
    params = {**SMALL, "VECTOR": 4}
    reference = reference_of("blend")
    with simulated(reference, draft, tmp_path, params, Build.SANITIZED) as kernel:
        assert agrees(reference, kernel, case, 1e-10)
    with (
        simulated(reference, careless, tmp_path, params, Build.SANITIZED) as kernel,
        pytest.raises(Failure, match="misaligned"),
    ):
        agrees(reference, kernel, case, 1e-10)


@needs_simulation
def test_staged_operands_would_race_without_the_barriers(tmp_path):
    draft = drafts_of("potential")[0]
    body = "__syncthreads();\n"
    careless = replace(draft, source=draft.source.replace(body, "\n"))
    reference = reference_of("potential")
    with (
        simulated(reference, careless, tmp_path) as kernel,
        pytest.raises(Failure, match="race"),
    ):
        agrees(reference, kernel, Case({"n": 130}, 1, "plain"), 1e-10)


ADDED_TO = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    w = np.ones((a.shape[0], a.shape[0]))
    for i in range(a.shape[0]):
        for j in range(a.shape[0]):
            for k in range(a.shape[1]):
                w[i, j] += a[i, k] * b[j, k]
    return a + w[0, 0]
"""


@needs_simulation
def test_threads_without_an_iteration_of_their_own_read_nothing_that_others_write(tmp_path):
    reference = reference_from(ADDED_TO, tmp_path)
    task = DraftingTask(reference, Target("x86_64", "some cpu", 2), ("cuda",))
    drafts = drafter_named("builtin").propose(task).drafts
    draft = next(d for d in drafts if "staged" in d.source)
    with simulated(reference, draft, tmp_path) as kernel:
        for shape in ((5, 0), (9, 3), (1, 7)):  # without a sum there is no barrier
            assert agrees_with(reference, kernel, 1, shape)


@pytest.mark.parametrize("kind", ["conv", "nearest", "linear"])
def test_sums_are_kept_in_registers_and_stored_once(kind):
    _, code = split_plan(drafts_of(kind)[0].source)
    assert len(re.findall(r"\bout\[", code)) == 1


def test_loops_over_elements_are_shared_by_threads():
    plan, code = split_plan(drafts_of("looped")[0].source)
    assert [step.kernel for _, step in launches(plan.steps, "steps")] == ["points0"]
    assert "alone" not in code


SCALED = """
def f(u: Float64[np.ndarray, "n m"], scale: float) -> Float64[np.ndarray, "n m"]:
    return scale * u
"""


@needs_simulation
def test_the_example_that_models_are_shown_is_right(tmp_path):
    told = section("cuda")
    reply = f"{told.header}\n```{told.fence}\n{told.example}```"
    draft = parse_reply(reply, "stop", ("cuda",), Provenance("x"))
    assert isinstance(draft, Draft)
    reference = reference_from(SCALED, tmp_path)
    with simulated(reference, draft, tmp_path, {}) as kernel:
        for sizes in MATRICES:
            assert agrees(reference, kernel, Case(sizes, 1, "plain"), 1e-10)


# --- What may be loaded ahead, or kept ----------------------------------------------------------


def test_only_elements_that_are_surely_there_are_loaded_ahead():
    i, n = affine.symbol("i"), affine.symbol("n")
    before = Load("a", (Position(affine.plus(i, affine.constant(-1))),), "float64")
    here, other = (Load(name, (Position(i),), "float64") for name in "ab")
    is_later = Apply(Op.GREATER, (here, Constant(0.0, "float64")), "bool")
    value = Apply(Op.WHERE, (is_later, before, other), "float64")
    arrays = {name: Array(name, "float64", (n,)) for name in "ab"}
    assert certain_loads([value], [Range("i", n)], arrays) == {here, other}
    assert before in certain_loads([before], [Range("i", n)], arrays)
    assert certain_loads([value], [Range("i", affine.constant(3))], arrays) == {here}


def test_vectors_hold_no_element_that_may_not_be_there():
    i, j, n = affine.symbol("i"), affine.symbol("j"), affine.symbol("n")
    above, here = (
        Load("a", (Position(affine.plus(i, affine.constant(k))), Position(j)), "float64")
        for k in (-1, 0)
    )
    is_later = Apply(Op.GREATER, (Position(i), Constant(0, "int64")), "bool")
    value = Apply(Op.WHERE, (is_later, above, here), "float64")
    store = Store("out", here.indices, value)
    arrays = {name: Array(name, "float64", (n, n)) for name in ("a", "out")}
    found = lanes_of(Nest((Range("i", n), Range("j", n)), (store,)), arrays, {})
    assert found is not None
    assert found.loaded == (("a", here.indices),)


FIRST_OF_A_ROW = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    out = b.copy()
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, 0] = out[i, 0] * 0.5 + a[i, j]
    return out
"""


def test_elements_that_only_a_loop_uses_are_kept_where_they_are_sure_to_be_there(tmp_path):
    reference = reference_from(FIRST_OF_A_ROW, tmp_path)
    after = kept(independent(lifted(reference), innermost=True))
    for shape in ((3, 4), (3, 0), (0, 2)):
        assert agrees_with(reference, lambda *a: ir_interpreter.run(after, *a), 1, shape)
    i, n = affine.symbol("i"), affine.symbol("n")
    interior = Range("i", affine.plus(n, affine.constant(-2)))
    places = [(Position(affine.plus(i, affine.constant(k))),) for k in range(-1, 4)]
    array = Array("a", "float64", (n,))
    assert [is_within(p, [interior], array) for p in places] == [False, True, True, True, False]


LAST_VALUE = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    out, x = b.copy(), 4.0
    while x > 0.5:
        for i in range(a.shape[0]):
            x = a[i, 0] * 0.0 + 0.25
            for j in range(a.shape[1]):
                out[i, j] += x
    return out
"""


def test_loops_whose_last_value_decides_what_follows_are_not_shared(tmp_path):
    program = lifted(reference_from(LAST_VALUE, tmp_path))
    assert independent(program) == program


TWO_LOOPS = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    out = np.empty_like(a)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            s = a[i, j]
            for k in range(a.shape[1]):
                s = s * b[i, k] + a[i, k]
            out[i, j] = s
    return out
"""


def test_threads_share_loops_within_loops_that_have_scalars_of_their_own(tmp_path):
    *_, nest = independent(lifted(reference_from(TWO_LOOPS, tmp_path)), innermost=True).body
    assert isinstance(nest, Nest)
    assert [r.name for r in nest.ranges] == ["i", "j"]


@settings(many, max_examples=30)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_elements_kept_in_scalars_have_the_same_values(text, seed, tmp_path):
    reference = reference_from(text, tmp_path)
    program = lifted(reference)
    if program is None:
        return
    for form in (program, independent(fused(program), innermost=True)):
        after = kept(form)
        shape = SHAPES[seed % len(SHAPES)]
        agrees_with(reference, lambda *a, p=after: ir_interpreter.run(p, *a), seed, shape)
