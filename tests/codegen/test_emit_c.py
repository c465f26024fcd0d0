"""Programs written in C mean what NumPy means, whatever the passes before made of them."""

from __future__ import annotations

import copy
import itertools
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import ir_interpreter
import numpy as np
import pytest
from array_programs import programs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_lifting import SHAPES, lifted, reference_of
from test_lifting import agrees as agrees_with

from outpace.codegen.abi import as_results, bind_sizes, output_shapes
from outpace.codegen.drafters import DraftingTask, drafter_named
from outpace.codegen.drafters.builtin import c_forms
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.nests.c.emit import FAST_FLAGS, COptions, CSource, c_source
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.printer import program_text
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import NotLifted
from outpace.kernels.languages.c import C
from outpace.kernels.library import aerospace, astro, climate, genomics, linalg, medical, quantum
from outpace.model import Contract, Draft, Provenance, Scalar, Target, Variant

LIBRARY = {
    "hdiff": climate.hdiff,
    "heat_3d": climate.heat_3d,
    "smith_waterman": genomics.smith_waterman,
    "cavity_flow": aerospace.cavity_flow,
    "jacobi_2d": aerospace.jacobi_2d,
    "backproject": medical.backproject,
    "apply_gate": quantum.apply_gate,
    "nbody": astro.nbody,
    "softmax": linalg.softmax,
    "conv2d": linalg.conv2d,
}
OPTIMISED = {"hdiff", "softmax", "conv2d", "smith_waterman"}
"""Those whose first draft is compiled as it will be; this takes a second for some of the others."""
SIZES = (0, 1, 2, 3, 5, 8, 13)
Kernel = Callable[..., None]

pytestmark = pytest.mark.skipif(
    C.unavailable() is not None, reason=f"no C compiler: {C.unavailable()}"
)
many = settings(
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_NUMBER = itertools.count()


def compiled(
    reference: Reference,
    draft: Draft | CSource,
    folder: Path,
    params: Mapping[str, Scalar] | None = None,
    *,
    quick: bool = True,
) -> Kernel:
    """The kernel of a draft with these parameters, and the first values of all others.

    Args:
        reference: What it is a draft of.
        draft: The draft, or its source.
        folder: A place for builds.
        params: Values of some parameters.
        quick: Compile with little optimisation, which takes half the time.
    """
    if isinstance(draft, CSource):
        flags = dict(draft.flags)
        draft = Draft("c", draft.text, draft.parameters, (), flags, Provenance("test"))
    flags = {**draft.flags, "-O1": True} if quick else draft.flags
    draft = Draft("c", draft.source, draft.parameters, (), flags, draft.provenance)
    values = {p.name: p.values[0] for p in draft.parameters} | dict(params or {})
    path = folder / f"{next(_NUMBER)}.c"
    path.write_text(C.bind(Variant(draft, values)))
    C.build(path, reference.contract, folder / path.stem)
    return C.load(path, reference.contract, folder / path.stem)


def drafts_of(reference: Reference) -> tuple[Draft, ...]:
    task = DraftingTask(reference, Target("x86_64", "some cpu", 2), ("c",))
    return drafter_named("builtin").propose(task).drafts


def source_of(reference: Reference, *, fastmath: bool = True) -> CSource:
    """The first form of a reference in C."""
    _, form = next(iter(c_forms(lift(reference), reorder=fastmath)))
    return c_source(form, reference.contract, COptions(fastmath=fastmath))


def with_plain_rounding(source: CSource, contract: Contract) -> CSource:
    """The source, compiled to round as it says where results are integers.

    A float that is made an integer shows the last bit, which compilers may change otherwise.
    """
    if all(np.dtype(o.dtype).kind in "fc" for o in contract.outputs):
        return source
    return replace(source, flags={f: True for f in source.flags if f not in FAST_FLAGS})


def agrees(reference: Reference, kernel: Kernel, case: Case, rtol: float) -> bool:
    """Compare a kernel with the reference; False if the reference raises at this case."""
    inputs = draw_inputs(reference, case)
    expected_inputs = copy.deepcopy(inputs)
    with np.errstate(all="ignore"):
        try:
            returned = reference.fn(**expected_inputs)
        except (ValueError, IndexError, ZeroDivisionError):
            return False
    sizes = bind_sizes(reference.contract, inputs)
    expected = as_results(reference.contract, returned, sizes)
    outputs = [
        np.full(shape, 77, dtype=o.dtype)
        for o, shape in zip(
            reference.contract.outputs, output_shapes(reference.contract, sizes), strict=True
        )
    ]
    kernel(*inputs.values(), *outputs)
    mutated = [a.name for a in reference.contract.mutated]
    expected += [expected_inputs[name] for name in mutated]
    outputs += [inputs[name] for name in mutated]
    for want, got in zip(expected, outputs, strict=True):
        tolerance = max(rtol, 4e-6) if want.dtype in (np.float32, np.complex64) else rtol
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
    return True


# --- The library --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LIBRARY)
def test_every_draft_of_a_library_function_agrees_with_it(name, tmp_path):
    reference = LIBRARY[name].reference
    drafts = drafts_of(reference)
    assert drafts
    for draft in drafts:
        is_first = draft is drafts[0]
        kernel = compiled(reference, draft, tmp_path, quick=not (is_first and name in OPTIMISED))
        assert sum(agrees(reference, kernel, case, 1e-10) for case in _cases(name)) >= 3


def _cases(name: str) -> list[Case]:
    """Cases of awkward sizes at which the function is defined."""
    rng = random.Random(name)
    names = LIBRARY[name].reference.contract.workloads[0].sizes
    cases = []
    for seed in range(10):
        sizes = {n: rng.choice(SIZES) for n in names}
        if name == "apply_gate":
            sizes = {"n": 8, "target": min(sizes["target"], 2)}
        if name == "cavity_flow":
            sizes |= {"ny": max(sizes["ny"], 2), "nx": max(sizes["nx"], 2)}
        if name == "softmax":
            sizes["keys"] = max(sizes["keys"], 1)
        if name == "smith_waterman":
            sizes["letters"] = max(sizes["letters"], 1)
        cases.append(Case(sizes, seed, "plain"))
    return cases


@pytest.mark.parametrize("name", ["hdiff", "jacobi_2d", "softmax"])
def test_emitted_source(name, golden):
    golden(f"{name}.c.txt", source_of(LIBRARY[name].reference).text)


def test_bodies_attract_each_other_in_one_loop_without_matrices():
    text = source_of(astro.nbody.reference).text
    assert "scratch(n * n" not in text
    assert text.count("sqrt(") == 4  # before the time loop and in it, in whole and short strips


def test_the_last_state_of_a_time_loop_is_computed_in_the_output():
    text = source_of(climate.heat_3d.reference).text
    assert text.count(" = scratch(") == 1
    assert "double *out_old = out;" in text


# --- Waves --------------------------------------------------------------------------------------

WAVES = {
    "jacobi_2d": [{"y": 61, "x": 9, "steps": 11}, {"y": 33, "x": 5, "steps": 8}],
    "heat_3d": [{"z": 41, "y": 5, "x": 7, "steps": 9}, {"z": 4, "y": 4, "x": 4, "steps": 1}],
    "cavity_flow": [{"ny": 50, "nx": 9, "steps": 2, "sweeps": 9}],
}


@pytest.mark.parametrize("name", WAVES)
def test_steps_that_go_through_the_rows_together_agree(name, tmp_path):
    reference = LIBRARY[name].reference
    source = source_of(reference)
    for steps in (1, 4, 7):
        kernel = compiled(reference, source, tmp_path, {"TIME": steps})
        for sizes in WAVES[name]:
            assert agrees(reference, kernel, Case(sizes, 3, "plain"), 1e-10)


FIELDS = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    x, y, z = a.copy(), b.copy(), a * b
    for t in range(9):
        x[0] = t * 0.5
        x[1:] -= 0.5 * (z[1:] - z[:-1])
        y[:, 1:] -= 0.5 * (z[:, 1:] - z[:, :-1])
        z[:-1, :-1] -= 0.7 * (y[:-1, 1:] - y[:-1, :-1] + x[1:, :-1] - x[:-1, :-1])
    return x + 2.0 * y + 3.0 * z
"""


@pytest.mark.parametrize("steps", [1, 3, 16])
def test_fields_that_update_each_other_in_place_are_a_wave(steps, tmp_path):
    reference = reference_of(FIELDS, tmp_path)
    source = source_of(reference)
    assert "TIME" in [p.name for p in source.parameters]
    kernel = compiled(reference, source, tmp_path, {"TIME": steps})
    for seed, shape in enumerate([(70, 6), (31, 3), (2, 2), (1, 4)]):
        assert agrees_with(reference, kernel, seed, shape)


CARRIED = """
def f(a: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    b = a.copy()
    time = 0.25
    for k in range(5):
        rate = 0.5 * time + k
        b[1:-1] = b[1:-1] + rate * (b[2:] - b[:-2])
        time = time + 0.125
    return b
"""


def test_scalars_that_a_time_loop_carries_keep_their_values(tmp_path):
    reference = reference_of(CARRIED, tmp_path)
    kernel = compiled(reference, source_of(reference), tmp_path)
    assert agrees_with(reference, kernel, 1, (9, 5))


SLANTED = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    c = b.copy()
    for i in range(a.shape[0]):
        for j in range(1, a.shape[1]):
            c[i, j] += np.sum(a[i, :j] * b[i, :j])
            c[i, :j] *= 0.5
    for i in range(1, a.shape[0]):
        c[i, i:] = a[i, i:] + np.sum(b[: i - 1, 0])
    return c
"""


def test_loops_whose_iterations_do_not_meet_are_shared_by_threads(tmp_path):
    reference = reference_of(SLANTED, tmp_path)
    source = source_of(reference)
    assert source.text.count("parallel for") >= 2
    kernel = compiled(reference, source, tmp_path)
    for seed, shape in enumerate([(9, 7), (7, 9), (1, 1), (0, 3)]):
        assert agrees_with(reference, kernel, seed, shape)


# --- Sums ---------------------------------------------------------------------------------------

PRODUCT = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    return 0.5 * b + (a @ a.T) @ b
"""


@pytest.mark.parametrize("params", [{}, {"ROWS": 2, "COLUMNS": 8}])
def test_products_by_tiles_agree_at_their_edges(params, tmp_path):
    reference = reference_of(PRODUCT, tmp_path)
    kernel = compiled(reference, source_of(reference), tmp_path, params, quick=False)
    for seed, shape in enumerate([(9, 17), (8, 16), (5, 33), (4, 15), (1, 1), (0, 3), (3, 0)]):
        assert agrees_with(reference, kernel, seed, shape)


def test_reproducible_contracts_keep_the_order_of_every_sum():
    reference = Reference(
        climate.hdiff.reference.fn,
        ReferenceOptions({"w": {"I": 4, "J": 4, "K": 4}}, reproducible=True),
    )
    drafts = drafts_of(reference)
    assert drafts
    for draft in drafts:
        assert not re.search(r"reduction\((\+|\*)", draft.source)
        assert "VECTOR_FORM" not in draft.source
        assert sorted(draft.flags) == ["-fno-math-errno", "-fno-trapping-math"]


def test_one_core_gets_no_threads():
    task = DraftingTask(climate.hdiff.reference, Target("x86_64", "some cpu", 1), ("c",))
    for draft in drafter_named("builtin").propose(task).drafts:
        assert {p.name: p.values for p in draft.parameters}["PARALLEL"] == (0,)


# --- Names and values ---------------------------------------------------------------------------

NAMES = """
def f(
    double: Float64[np.ndarray, "n m"], I: Float64[np.ndarray, "m"], exp: float, y0: float
) -> Float64[np.ndarray, "n m"]:
    const = np.exp(double) * exp
    __row = const + I * y0
    PARALLEL = np.sum(__row, axis=1)
    return __row + PARALLEL[:, None]
"""


def test_names_that_mean_something_in_c_are_spelled_otherwise(tmp_path):
    reference = reference_of(NAMES, tmp_path)
    kernel = compiled(reference, source_of(reference), tmp_path)
    a, i = np.arange(6.0).reshape(2, 3) / 7, np.array([1.0, -2.0, 3.0])
    out = np.empty_like(a)
    kernel(a, i, 1.5, 4.0, out)
    np.testing.assert_allclose(out, reference.fn(a, i, 1.5, 4.0))


SWAPPED = """
def f(a: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    u, next_u = a.copy(), a.copy()
    next = 0.5
    for last_u in range(3):
        next_u[1:-1] = next * (u[2:] + u[:-2]) + np.max(u) * last_u
        u, next_u = next_u, u
    return u
"""


def test_names_that_the_text_gives_itself_do_not_clash(tmp_path):
    reference = reference_of(SWAPPED, tmp_path)
    kernel = compiled(reference, source_of(reference), tmp_path)
    assert agrees_with(reference, kernel, 2, (6, 4))


INTEGERS = """
def f(a: Int32[np.ndarray, "n m"], b: Int64[np.ndarray, "n m"]) -> Int64[np.ndarray, "n m"]:
    c = a * a * 100000 + (a << 2) - (a >> 1) + (a ^ 5) - ~a
    return c // (b % 7 - 3) + b % (a - 1) + b // -3 + abs(b - 2) + (a > 1) * 4
"""


def test_integers_wrap_around_and_divide_as_in_numpy(tmp_path):
    reference = reference_of(INTEGERS, tmp_path)
    rng = np.random.default_rng(4)
    a = rng.integers(-(2**31), 2**31, (40, 5), dtype=np.int32)
    b = rng.integers(-(2**63), 2**63 - 1, (40, 5), dtype=np.int64)
    a[:5] = np.arange(-2, 3)
    b[:20] = rng.integers(-9, 9, (20, 5))
    out = np.empty_like(b)
    compiled(reference, source_of(reference), tmp_path)(a, b, out)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(out, reference.fn(a, b))


SPECIAL = """
def f(a: Float64[np.ndarray, "n m"], v: Float64[np.ndarray, "m"]) -> Float64[np.ndarray, "n m"]:
    b = np.maximum(a, v) + np.minimum(v, a) + np.sign(a) + np.isnan(a) + a % v - a // v
    return np.where(np.max(a, axis=1)[:, None] > 1.0, b, np.floor(a) + b)
"""


def test_nan_infinities_and_signed_zeros_go_through(tmp_path):
    reference = reference_of(SPECIAL, tmp_path)
    values = [0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan]
    a = np.array(values)[:, None] * np.ones(len(values))
    v = np.array(values)
    out = np.empty_like(a)
    compiled(reference, source_of(reference, fastmath=False), tmp_path, quick=False)(a, v, out)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(out, reference.fn(a, v))


SIZES_OF_NUMBERS = """
def f(a: Float64[np.ndarray, "n m"], b: Float32[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    return np.abs(a) + abs(b) * np.absolute(a[0, 0])
"""


def test_absolute_values_of_floats(tmp_path):
    reference = reference_of(SIZES_OF_NUMBERS, tmp_path)
    kernel = compiled(reference, source_of(reference), tmp_path)
    a = np.array([[-1.5, -0.0, np.inf], [2.0, -np.inf, np.nan]])
    out = np.empty_like(a)
    kernel(a, a.astype(np.float32), out)
    np.testing.assert_array_equal(out, reference.fn(a, a.astype(np.float32)))


LOADED_LATER = """
def f(a: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    g = a * 3.0
    g *= 2.0
    return g - np.mean(g + a, axis=1, keepdims=True)
"""


def test_what_is_loaded_after_its_sum_is_still_there(tmp_path):
    reference = reference_of(LOADED_LATER, tmp_path)
    kernel = compiled(reference, source_of(reference), tmp_path)
    assert all(agrees_with(reference, kernel, k, shape) for k, shape in enumerate(SHAPES[:4]))


# --- Random programs ----------------------------------------------------------------------------


def check_passes(text: str, seed: int, folder: Path) -> None:
    """The forms for C, interpreted."""
    reference = reference_of(text, folder)
    program = lifted(reference)
    if program is None:
        return
    for _, form in c_forms(program, reorder=seed % 2 == 0):
        shape = SHAPES[seed % len(SHAPES)]
        assert program_text(form)
        agrees_with(reference, lambda *a, f=form: ir_interpreter.run(f, *a), seed, shape)


def check_compiled(text: str, seed: int, folder: Path) -> None:
    """The first form, compiled."""
    reference = reference_of(text, folder)
    program = lifted(reference)
    if program is None:
        return
    try:
        source = source_of(reference, fastmath=seed % 2 == 0)
    except NotLifted:
        return
    kernel = compiled(reference, with_plain_rounding(source, reference.contract), folder)
    for k, shape in enumerate(SHAPES):
        agrees_with(reference, kernel, seed + k, shape)


@settings(many, max_examples=50)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_passes_keep_the_meaning_of_random_programs(text, seed, tmp_path):
    check_passes(text, seed, tmp_path)


@settings(many, max_examples=12)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_random_programs_mean_the_same_in_c(text, seed, tmp_path):
    check_compiled(text, seed, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(many, max_examples=3000)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_passes_keep_the_meaning_of_many_random_programs(text, seed, tmp_path):
    check_passes(text, seed, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(many, max_examples=300)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_many_random_programs_mean_the_same_in_c(text, seed, tmp_path):
    check_compiled(text, seed, tmp_path)
