"""Programs written in CUDA mean what NumPy means, on the simulated GPU, in any order of threads."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from array_programs import programs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from simulated_kernels import SMALL, simulated
from test_emit_c import LIBRARY, agrees
from test_lifting import SHAPES, lifted, reference_of
from test_lifting import agrees as agrees_with

from outpace.codegen.constraints import constraints_of
from outpace.codegen.cuda import parse_plan, resolve, split_plan, write_plan
from outpace.codegen.cuda.expressions import parse_condition, parse_integer
from outpace.codegen.drafters import DraftingTask, drafter_named
from outpace.codegen.inputs import Case
from outpace.codegen.nests.cuda.host import condition_text, integer_text
from outpace.codegen.nests.cuda.memory import exchanges
from outpace.codegen.nests.ir import Apply, Constant, Expression, Op, Rebind, Variable
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import DraftError
from outpace.kernels.library import climate
from outpace.model import Draft, Target
from outpace.tuner.simgpu.building import Build, unavailable

needs_simulation = pytest.mark.skipif(
    unavailable() is not None, reason=f"no simulated GPU: {unavailable()}"
)
many = settings(
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SIZES: dict[str, list[dict[str, int]]] = {
    "hdiff": [{"I": 5, "J": 3, "K": 9}, {"I": 1, "J": 1, "K": 0}, {"I": 0, "J": 4, "K": 3}],
    "heat_3d": [
        {"z": 7, "y": 5, "x": 17, "steps": 7},
        {"z": 4, "y": 4, "x": 4, "steps": 1},
        {"z": 0, "y": 4, "x": 1, "steps": 6},
    ],
    "smith_waterman": [
        {"n": 5, "m": 8, "letters": 3, "gap_open": 5, "gap_extend": 1},
        {"n": 0, "m": 1, "letters": 1, "gap_open": 0, "gap_extend": 0},
    ],
    "cavity_flow": [
        {"ny": 9, "nx": 13, "steps": 2, "sweeps": 3},
        {"ny": 2, "nx": 3, "steps": 1, "sweeps": 0},
    ],
    "jacobi_2d": [
        {"y": 33, "x": 21, "steps": 8},
        {"y": 9, "x": 61, "steps": 11},
        {"y": 2, "x": 3, "steps": 4},
        {"y": 0, "x": 5, "steps": 3},
        {"y": 1, "x": 1, "steps": 0},
    ],
    "backproject": [
        {"views": 5, "detectors": 8, "size": 13},
        {"views": 1, "detectors": 0, "size": 1},
        {"views": 0, "detectors": 3, "size": 2},
    ],
    "apply_gate": [{"n": 32, "target": 3}, {"n": 2, "target": 0}, {"n": 16, "target": 0}],
    "nbody": [{"n": 13, "steps": 3}, {"n": 1, "steps": 1}, {"n": 0, "steps": 2}],
    "softmax": [
        {"batch": 2, "heads": 3, "queries": 2, "keys": 70},
        {"batch": 1, "heads": 1, "queries": 1, "keys": 1},
        {"batch": 1, "heads": 0, "queries": 5, "keys": 3},
    ],
    "conv2d": [
        {"batch": 2, "rows": 3, "cols": 5, "cin": 4, "cout": 9},
        {"batch": 1, "rows": 1, "cols": 1, "cin": 1, "cout": 1},
        {"batch": 1, "rows": 0, "cols": 2, "cin": 3, "cout": 2},
    ],
}
"""Sizes with tails and several blocks, and small and empty ones."""


SIMULATED = ("jacobi_2d", "backproject", "apply_gate", "nbody", "softmax", "conv2d")
"""One of each kind, whose compilers take a second or two each; all are simulated by the soak."""


@cache
def drafts_of(reference: Reference) -> tuple[Draft, ...]:
    task = DraftingTask(reference, Target("x86_64", "some cpu", 2), ("cuda",))
    return drafter_named("builtin").propose(task).drafts


def notes_of(reference: Reference) -> tuple[str, ...]:
    task = DraftingTask(reference, Target("x86_64", "some cpu", 2), ("cuda",))
    return drafter_named("builtin").propose(task).notes


def parameters_of(draft: Draft) -> list[str]:
    return [p.name for p in draft.parameters]


# --- The library --------------------------------------------------------------------------------


@needs_simulation
@pytest.mark.parametrize("name", SIMULATED)
def test_the_first_draft_of_a_library_function_agrees_with_it(name, tmp_path):
    reference = LIBRARY[name].reference
    with simulated(reference, drafts_of(reference)[0], tmp_path) as kernel:
        for sizes in SIZES[name]:
            assert agrees(reference, kernel, Case(sizes, 3, "plain"), 1e-10)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@needs_simulation
@pytest.mark.parametrize("build", Build)
@pytest.mark.parametrize("name", LIBRARY)
def test_every_draft_of_a_library_function_agrees_with_it(name, build, tmp_path):
    reference = LIBRARY[name].reference
    for draft in drafts_of(reference):
        for time in (0, 1, 3) if "TIME" in parameters_of(draft) else (0,):
            params = {**SMALL, "TIME": time, "ROW": 32 + 32 * time}
            with simulated(reference, draft, tmp_path, params, build) as kernel:
                for sizes in SIZES[name]:
                    assert agrees(reference, kernel, Case(sizes, 3, "plain"), 1e-10)


@pytest.mark.parametrize("name", ["hdiff", "jacobi_2d", "softmax"])
def test_emitted_source(name, golden):
    plan, code = split_plan(drafts_of(LIBRARY[name].reference)[0].source)
    golden(f"{name}.cuda.txt", f"{json.dumps(write_plan(plan), indent=2)}\n{code}")


@pytest.mark.parametrize("name", LIBRARY)
def test_first_values_of_parameters_keep_to_the_constraints(name):
    for draft in drafts_of(LIBRARY[name].reference):
        first = {p.name: p.values[0] for p in draft.parameters}
        assert constraints_of(draft.parameters, draft.constraints) is not None
        for constraint in draft.constraints:
            assert eval(constraint, {}, first)


@pytest.mark.parametrize("name", LIBRARY)
def test_plans_resolve_at_every_workload(name):
    reference = LIBRARY[name].reference
    for draft in drafts_of(reference):
        plan, _ = split_plan(draft.source)
        params = {p.name: p.values[0] for p in draft.parameters}
        for workload in reference.contract.workloads:
            found = resolve(plan, workload.sizes, params, reference.contract)
            assert found.launches


def test_a_convolution_is_one_launch():
    reference = LIBRARY["conv2d"].reference
    for draft in drafts_of(reference):
        plan, _ = split_plan(draft.source)
        assert not plan.buffers
        for staged in (0, 32):
            params = {p.name: p.values[0] for p in draft.parameters} | {"STAGED": staged}
            found = resolve(plan, SIZES["conv2d"][0], params, reference.contract)
            assert len(found.launches) == 1


def test_the_last_state_of_a_time_loop_is_computed_in_the_output():
    for name in ("jacobi_2d", "heat_3d"):
        reference = LIBRARY[name].reference
        plan, _ = split_plan(drafts_of(reference)[0].source)
        assert len(plan.buffers) == 1
        for sizes in SIZES[name]:
            params = {p.name: SMALL[p.name] for p in drafts_of(reference)[0].parameters}
            found = resolve(plan, sizes, params, reference.contract)
            assert len(found.actions) == len(found.launches)  # no copy brings it home


def test_bodies_attract_each_other_without_matrices():
    plan, _ = split_plan(drafts_of(LIBRARY["nbody"].reference)[0].source)
    assert {len(buffer.shape) for buffer in plan.buffers} == {1}


def test_reproducible_contracts_get_no_contracted_products():
    reference = Reference(
        climate.hdiff.reference.fn,
        ReferenceOptions({"w": {"I": 4, "J": 4, "K": 4}}, reproducible=True),
    )
    drafts = drafts_of(reference)
    assert drafts
    for draft in drafts:
        assert draft.flags == {"--fmad": False}


def test_nothing_is_drafted_in_cuda_unless_it_is_asked_for():
    task = DraftingTask(climate.hdiff.reference, Target("x86_64", "some cpu", 2), ("numba", "c"))
    assert {d.language for d in drafter_named("builtin").propose(task).drafts} == {"numba", "c"}


# --- Other programs -----------------------------------------------------------------------------

UNLIKE = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    half, new = a.copy(), b.copy()
    for t in range(7):
        new[1:-2, 2:-1] = 0.3 * (half[:-3, 2:-1] + half[3:, 1:-2]) + half[1:-2, 2:-1] * b[0, 0]
        half, new = new, half
    return half
"""


@needs_simulation
def test_steps_in_shared_memory_keep_both_borders_where_they_differ(tmp_path):
    reference = reference_of(UNLIKE, tmp_path)
    draft = drafts_of(reference)[0]
    assert "TIME" in parameters_of(draft)
    with simulated(reference, draft, tmp_path) as kernel:
        for seed, shape in enumerate([(9, 17), (19, 40), (3, 3), (1, 1)]):
            assert agrees_with(reference, kernel, seed, shape)


SCALARS = """
def f(a: Float64[np.ndarray, "n m"], v: Float64[np.ndarray, "m"]) -> Float64[np.ndarray, "n m"]:
    x = np.abs(a)
    rate = 0.5
    for t in range(3):
        norm = np.sqrt(np.sum(x * x) + 1.0)
        rate = rate * 0.5 + v[0]
        largest = np.max(x)
        if t % 2 == 1:
            x = x / norm + rate * t
        else:
            x = x - largest
    return x + np.sum(a * a, axis=1)[:, None] + np.all(a > 0.0)
"""


@needs_simulation
def test_scalars_and_reductions_between_kernels_keep_their_values(tmp_path):
    reference = reference_of(SCALARS, tmp_path)
    draft = drafts_of(reference)[0]
    assert {"PARTS", "ROW"} <= set(parameters_of(draft))
    with simulated(reference, draft, tmp_path) as kernel:
        for seed, shape in enumerate([(9, 17), (1, 200), (1, 1), (5, 2)]):
            assert agrees_with(reference, kernel, seed, shape)


INTEGERS = """
def f(a: Int32[np.ndarray, "n m"], b: Int64[np.ndarray, "n m"]) -> Int64[np.ndarray, "n m"]:
    c = a * a * 100000 + (a << 2) - (a >> 1) + (a ^ 5) - ~a
    return c // (b % 7 - 3) + b % (a - 1) + b // -3 + abs(b - 2) + (a > 1) * 4 + b**3 + np.sum(b)
"""


@needs_simulation
def test_integers_wrap_around_and_divide_as_in_numpy(tmp_path):
    reference = reference_of(INTEGERS, tmp_path)
    rng = np.random.default_rng(4)
    a = rng.integers(-(2**29), 2**29, (40, 5), dtype=np.int32)
    b = rng.integers(-(2**63) + 3, 2**63 - 1, (40, 5), dtype=np.int64)
    a[:5] = np.arange(-2, 3)
    b[:20] = rng.integers(-9, 9, (20, 5))
    out = np.empty_like(b)
    with simulated(reference, drafts_of(reference)[0], tmp_path) as kernel:
        kernel(a, b, out)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(out, reference.fn(a, b))


UNTIL = """
def f(a: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    x = a.copy()
    while np.max(x) > 1.0:
        x = x * 0.5
    return x
"""


def test_what_a_plan_cannot_decide_is_refused_with_the_reason(tmp_path):
    reference = reference_of(UNTIL, tmp_path)
    assert drafts_of(reference) == ()
    assert "ends when their values say so" in notes_of(reference)[0]


TAKEN = """
def f(ROW: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    return ROW + 1.0
"""


def test_arguments_with_the_name_of_a_parameter_are_refused(tmp_path):
    reference = reference_of(TAKEN, tmp_path)
    assert drafts_of(reference) == ()
    assert "ROW, which is the name of something else" in notes_of(reference)[0]


# --- Random programs ----------------------------------------------------------------------------


@settings(many, max_examples=10)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_plans_of_random_programs_are_whole_and_resolve(text, seed, tmp_path):
    reference = reference_of(text, tmp_path)
    if lifted(reference) is None:
        return
    for draft in drafts_of(reference):
        plan, _ = split_plan(draft.source)
        assert parse_plan(write_plan(plan)) == plan
        params = {p.name: SMALL[p.name] for p in draft.parameters}
        n, m = SHAPES[seed % len(SHAPES)]
        try:
            resolve(plan, {"n": n, "m": m}, params, reference.contract)
        except DraftError as error:
            assert "divides by zero" in str(error)  # noqa: PT017  (as the reference does there)


def check_simulated(text: str, seed: int, folder: Path) -> None:
    """One of the drafts of a random program."""
    reference = reference_of(text, folder)
    if lifted(reference) is None:
        return
    drafts = drafts_of(reference)
    if drafts:
        build, draft = list(Build)[seed % 2], drafts[seed // 2 % len(drafts)]
        with simulated(reference, draft, folder, build=build) as kernel:
            for k, shape in enumerate(SHAPES):
                agrees_with(reference, kernel, seed + k, shape)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@needs_simulation
@settings(many, max_examples=200)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_many_random_programs_mean_the_same_in_cuda(text, seed, tmp_path):
    check_simulated(text, seed, tmp_path)


# --- The host's part ----------------------------------------------------------------------------

_OPERATORS = {
    Op.ADD: lambda a, b: a + b,
    Op.SUBTRACT: lambda a, b: a - b,
    Op.MULTIPLY: lambda a, b: a * b,
    Op.FLOOR_DIVIDE: lambda a, b: a // b,
    Op.REMAINDER: lambda a, b: a % b,
    Op.MINIMUM: min,
    Op.LARGER: max,
}
_ORDERS = {Op.LESS: lambda a, b: a < b, Op.EQUAL: lambda a, b: a == b}
_VALUES = {"i": 7, "n": -3}
integers = st.recursive(
    st.integers(-9, 9).map(lambda v: Constant(v, "int64"))
    | st.sampled_from(sorted(_VALUES)).map(lambda n: Variable(n, "int64")),
    lambda inner: st.builds(
        lambda op, a, b: Apply(op, (a, b), "int64"),
        st.sampled_from(sorted(_OPERATORS)),
        inner,
        inner,
    ),
    max_leaves=12,
)


def value_of(e: Expression) -> int:
    if isinstance(e, Constant):
        return int(e.value.real)
    if isinstance(e, Variable):
        return _VALUES[e.name]
    assert isinstance(e, Apply)
    return (_OPERATORS | _ORDERS)[e.op](*map(value_of, e.operands))


@given(integers, integers, st.sampled_from(sorted(_ORDERS)))
def test_integers_and_conditions_of_a_plan_mean_the_same(a, b, order):
    known = {"i": "i", "n": "n - 1"}
    binding = {"i": _VALUES["i"], "n": _VALUES["n"] + 1}
    text = integer_text(a, known)
    condition = condition_text(Apply(order, (a, b), "bool"), known)
    try:
        expected, decided = value_of(a), _ORDERS[order](value_of(a), value_of(b))
    except ZeroDivisionError:
        return
    assert parse_integer(text).value(binding) == expected
    assert parse_condition(condition).value(binding) == decided


@given(st.permutations("abcde"))
def test_a_renaming_of_any_arrays_is_made_of_exchanges(sources):
    targets = tuple("abcde")
    held = dict(zip(targets, targets, strict=True))
    for first, second in exchanges(Rebind(targets, tuple(sources)), {n: n for n in targets}):
        held[first], held[second] = held[second], held[first]
    assert held == dict(zip(targets, sources, strict=True))
