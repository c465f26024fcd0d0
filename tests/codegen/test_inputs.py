"""Drawn cases and inputs stay in their domain, differ, cover it, and come back for a seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from jaxtyping import Complex128, Float32, Float64, Int32, UInt8

from outpace.codec import decode, encode
from outpace.codegen.distributions import (
    FLAVOURS,
    Choice,
    Constant,
    Integers,
    Normal,
    Uniform,
    default_distribution,
)
from outpace.codegen.domain import allows
from outpace.codegen.inputs import (
    MAX_ELEMENTS,
    Case,
    draw_cases,
    draw_inputs,
    misfit,
    read_case,
    simpler_cases,
)
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.codegen.strategies import cases
from outpace.errors import ContractError, UsageError
from outpace.kernels.library import aerospace, astro, climate, genomics, linalg, medical, quantum
from outpace.model import Contract, Workload

LIBRARY = [
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
]


def one(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]: ...
def two(u: Float64[np.ndarray, "n m"], k: int) -> Float64[np.ndarray, "n"]: ...
def pair(u: Float64[np.ndarray, "n"], v: Float64[np.ndarray, "m"]) -> float: ...
def four(u: Float64[np.ndarray, "a b c d"]) -> float: ...
def far(u: Float64[np.ndarray, "n-9"], v: Float64[np.ndarray, "n"]) -> float: ...
def counts(u: Float64[np.ndarray, "n"], k: int) -> Float64[np.ndarray, "k"]: ...
def scalars(a: float, b: np.float32, c: complex, d: bool, e: np.complex64, k: np.int8) -> float: ...


def reference(fn, sizes, inputs=None, **options):
    workloads = {"w": sizes}
    return Reference(fn, ReferenceOptions(workloads=workloads, inputs=inputs, **options))


# --- Cases --------------------------------------------------------------------------------------


def check_cases(ref, cases):
    keys = [(*case.sizes.items(), case.flavour) for case in cases]
    assert len(set(keys)) == len(keys)
    for case in cases:
        assert allows(ref.contract, case.sizes)
        for value in draw_inputs(ref, case).values():
            assert np.size(value) <= MAX_ELEMENTS


@pytest.mark.parametrize("fn", LIBRARY, ids=lambda fn: fn.__name__)
def test_cases_of_the_library(fn):
    cases = draw_cases(fn.reference, 24, seed=3)
    assert len(cases) == 24
    check_cases(fn.reference, cases)
    assert draw_cases(fn.reference, 24, seed=3) == cases
    assert draw_cases(fn.reference, 24, seed=4) != cases


@given(st.integers(0, 2**32), st.sampled_from([24, 40]))
def test_simple_contracts_meet_empty_single_and_large_extents(seed, count):
    for ref in (reference(one, {"n": 100}), reference(two, {"n": 100, "m": 9, "k": 5})):
        cases = draw_cases(ref, count, seed)
        assert len(cases) == count
        for dim in ref.contract.dims:
            extents = {case.sizes[dim] for case in cases}
            assert {0, 1} < extents
            assert max(extents) > 16
            assert len(extents) >= 15
        assert {case.flavour for case in cases} == set(FLAVOURS)


@pytest.mark.parametrize(
    ("fn", "sizes", "where", "least"),
    [
        (one, {"n": 2**20}, "n == 2**q", 24),
        (one, {"n": 2**20}, "n & (n - 1) == 0 and n > 0", 24),
        (one, {"n": 640}, "n % 64 == 0", 24),
        (one, {"n": 500}, "n >= 100", 24),
        (pair, {"n": 99, "m": 99}, "n == m", 24),
        (pair, {"n": 25, "m": 5}, "n == m**2 and m > 1", 16),
        (two, {"n": 12, "m": 3, "k": 4}, "n == m * k", 24),
        (two, {"n": 12, "m": 3, "k": 4}, "n % k == 0 and m < n", 24),
        (four, {"a": 2, "b": 2, "c": 2, "d": 2}, "a == b and c == d", 24),
        (far, {"n": 50}, None, 24),
        (far, {"n": 51}, "n % 2 == 1", 24),
        (one, {"n": 16}, "n == 4 or n == 8 or n == 16", 12),
        (one, {"n": 2000}, "n > 1000", 0),
    ],
)
def test_tight_conditions_are_met(fn, sizes, where, least):
    ref = reference(fn, sizes, where=where)
    cases = draw_cases(ref, 24, seed=5)
    assert least <= len(cases) <= 24
    check_cases(ref, cases)


def test_cases_need_no_workload_order():
    """A contract that was stored and read again draws the same: its sizes are sorted by then."""
    ref = reference(two, {"n": 100, "m": 9, "k": 5})
    cases = draw_cases(ref, 24, seed=1)
    ref.__dict__["contract"] = decode(encode(ref.contract), Contract)
    assert draw_cases(ref, 24, seed=1) == cases


def test_a_callable_draws_plain_values_alone():
    ref = reference(one, {"n": 9}, inputs=lambda sizes, rng: {"u": rng.normal(size=sizes["n"])})
    cases = draw_cases(ref, 24, seed=1)
    assert {case.flavour for case in cases} == {"plain"}
    assert len({case.sizes["n"] for case in cases}) == len(cases) == 18


def test_counts_include_those_of_the_workloads_and_obey_inputs():
    drawn = {
        case.sizes["k"] for case in draw_cases(reference(two, {"n": 9, "m": 9, "k": 50}), 24, 1)
    }
    assert drawn == {0, 1, 2, 3, 4, 50}
    ref = reference(two, {"n": 9, "m": 9, "k": 50}, inputs={"k": Integers(3, 7)})
    assert {case.sizes["k"] for case in draw_cases(ref, 24, 1)} == {3, 4, 5, 6}
    ref = reference(counts, {"n": 9, "k": 50}, inputs={"k": Choice((2, 40))})
    assert {case.sizes["k"] for case in draw_cases(ref, 24, 1)} == {2, 40}


def test_a_function_without_sizes_has_one_case_a_flavour():
    def fn(a: float) -> float: ...

    assert len(draw_cases(reference(fn, {}), 24, 1)) == len(FLAVOURS)


# --- Distributions ------------------------------------------------------------------------------


REALS = ("float32", "float64", "complex64", "complex128")
EDGES = st.floats(-1e30, 1e30) | st.integers(-300, 300).map(float)


def parts(values):
    return (values.real, values.imag) if values.dtype.kind == "c" else (values,)


@given(EDGES, EDGES, st.sampled_from(REALS), st.sampled_from(FLAVOURS), st.integers(0, 2**32))
def test_uniform_never_leaves_its_interval(a, b, dtype, flavour, seed):
    chosen = Uniform(min(a, b), max(a, b))
    if chosen.misfit(dtype):
        return
    values = chosen.stress(np.random.default_rng(seed), (50, 3), dtype, flavour)
    assert values.dtype == np.dtype(dtype)
    assert values.shape == (50, 3)
    for part in parts(values):
        assert np.all(part.astype(np.longdouble) >= np.longdouble(chosen.low))
        assert np.all(part.astype(np.longdouble) < np.longdouble(chosen.high))


def test_rounding_does_not_reach_the_open_end():
    for seed in range(50):
        values = Uniform(1e7, 1e7 + 4).draw(np.random.default_rng(seed), (500,), "float32")
        assert set(values.tolist()) <= {1e7, 1e7 + 1, 1e7 + 2, 1e7 + 3}


@given(
    st.sampled_from([Normal(0, 2), Normal(250, 1), Choice((1.5, -3)), Constant(7.0)]),
    st.sampled_from(REALS),
    st.sampled_from(FLAVOURS),
    st.sampled_from([(), (0,), (1,), (7, 3)]),
    st.integers(0, 2**32),
)
def test_other_distributions_keep_their_shape_dtype_and_domain(chosen, dtype, flavour, shape, seed):
    values = chosen.stress(np.random.default_rng(seed), shape, dtype, flavour)
    assert type(values) is np.ndarray
    assert (values.shape, values.dtype) == (shape, np.dtype(dtype))
    assert np.isfinite(values).all()
    if isinstance(chosen, Choice):
        assert np.isin(values, chosen.values).all()
    if chosen == Normal(250, 1):
        assert all(np.all(abs(part - 250) < 10) for part in parts(values))
    if isinstance(chosen, Constant):
        assert (values == 7).all()


@given(st.integers(-128, 127), st.integers(1, 50), st.sampled_from(["int8", "uint8", "int64"]))
def test_integers_never_leave_their_range(low, width, dtype):
    chosen = Integers(low, low + width)
    if chosen.misfit(dtype):
        assert low < 0 or low + width - 1 > np.iinfo(dtype).max
        return
    values = chosen.draw(np.random.default_rng(low % 7), (200,), dtype)
    assert values.dtype == np.dtype(dtype)
    assert np.all((values.astype(int) >= low) & (values.astype(int) < low + width))


def test_large_unsigned_integers():
    values = Integers(2**63, 2**64).draw(np.random.default_rng(0), (9,), "uint64")
    assert (values >= 2**63).all()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_flavours_are_what_they_say(flavour):
    values = Uniform(-1, 1).stress(np.random.default_rng(0), (4000,), "float64", flavour)
    if flavour == "offset":
        assert np.ptp(values) < 0.01
    if flavour == "wide":
        assert np.quantile(abs(values), 0.1) < 1e-4
        assert abs(values).max() > 0.1
    if flavour == "cancelling":
        assert abs(values.sum()) < 0.01 * abs(values).sum()
    if flavour == "sorted":
        assert np.all(np.diff(values) >= 0) or np.all(np.diff(values) <= 0)
    if flavour == "rare":
        assert min(np.sum(values > 0), np.sum(values < 0)) == 1


@pytest.mark.parametrize(
    ("chosen", "dtype"),
    [(Integers(0, 2), "bool"), (Integers(-9, 9), "int32"), (Choice((0.5, -0.0)), "float32")],
)
def test_one_of_a_row_is_rare_and_often_the_last(chosen, dtype):
    rows = chosen.stress(np.random.default_rng(0), (400, 20), dtype, "rare")
    common = np.median(rows.astype(float), axis=1)
    differing = rows != common[:, None]
    assert set(differing.sum(axis=1)) == {0, 1}
    assert 40 < differing[:, -1].sum() < 160
    assert 40 < differing[:, 0].sum() < 160


# --- Cases of people ------------------------------------------------------------------------------


def fixed(u: Float64[np.ndarray, "n"], a: float, k: int) -> float: ...


def test_a_case_is_read_as_it_is_written():
    ref = reference(fixed, {"n": 9, "k": 5})
    for case in (
        Case({"n": 4, "k": 2}, 17, "wide"),
        Case({"n": 4, "k": 2}, 0, "plain", {"a": 0.5}),
    ):
        assert read_case(ref, case.text) == case
        assert Case.of_counterexample(case.counterexample(None)) == case
    assert read_case(ref, '{"sizes": {"n": 1, "k": 0}}') == Case({"n": 1, "k": 0}, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("7", "cannot be read"),
        ("{}", 'missing required field `sizes`; write for example .*"n": 9'),
        ('{"sizes": {"n": 1}}', "its sizes must be n, k"),
        ('{"sizes": {"n": 1.5, "k": 1}}', "cannot be read"),
        ('{"sizes": {"n": -1, "k": 1}}', "does not allow these sizes"),
        ('{"sizes": {"n": 1, "k": 1}, "seed": -1}', "must not be negative"),
        ('{"sizes": {"n": 1, "k": 1}, "flavour": "sweet"}', "must be one of plain, offset"),
        ('{"sizes": {"n": 1, "k": 1}, "scalars": {"u": 1}}', "'u' is no scalar argument"),
    ],
)
def test_a_case_that_cannot_be(text, message):
    with pytest.raises(UsageError, match=message):
        read_case(reference(fixed, {"n": 9, "k": 5}), text)


@settings(max_examples=30)
@given(st.data())
def test_simpler_cases_are_simpler_in_one_respect_and_in_the_domain(data):
    ref = data.draw(
        st.sampled_from(
            [
                reference(two, {"n": 100, "m": 9, "k": 5}),
                reference(one, {"n": 2**20}, where="n == 2**q"),
                reference(pair, {"n": 25, "m": 5}, where="n == m**2"),
            ]
        )
    )
    case = data.draw(cases(ref))
    assert misfit(ref, case) is None
    for simpler in simpler_cases(ref, case):
        assert misfit(ref, simpler) is None
        before, after = (sum(c.sizes.values()) for c in (case, simpler))
        flavours = [FLAVOURS.index(c.flavour) for c in (case, simpler)]
        assert (after, flavours[1], simpler.seed) < (before, flavours[0], case.seed)


def test_the_strategy_shrinks_to_small_sizes_and_plain_values():
    ref = reference(two, {"n": 100, "m": 9, "k": 5})
    found = find(cases(ref), lambda case: case.sizes["n"] >= 6)
    assert found == Case({"n": 6, "m": 0, "k": 0}, 0, "plain")


def test_defaults_suit_every_dtype():
    for dtype in ("bool", "int8", "uint8", "int64", "uint64", *REALS):
        assert default_distribution(dtype).misfit(dtype) is None
    assert set(
        np.unique(default_distribution("bool").draw(np.random.default_rng(0), (99,), "bool"))
    )


def typed(
    u: UInt8[np.ndarray, "n"], i: Int32[np.ndarray, "n"], f: Float32[np.ndarray, "n"]
) -> float: ...


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"v": Uniform()}, "inputs names 'v', which .*typed lacks"),
        ({"u": 3.0}, r"gives 'u' as 3.0; write a distribution, for example .*Constant\(3\)"),
        ({"u": Uniform(0, 9)}, r"for 'u' \(uint8\) needs finite low < high and a float"),
        ({"i": Normal()}, "needs a finite mean, std > 0 and a float or complex argument"),
        ({"u": Integers(-1, 9)}, "bounds that uint8 can hold"),
        ({"u": Integers(0, 257)}, "bounds that uint8 can hold"),
        ({"u": Integers(3, 3)}, "needs low < high"),
        ({"i": Choice((1, 0.5))}, "only values that int32 can hold"),
        ({"i": Choice(())}, "needs at least one value"),
        ({"u": Constant(256)}, "a value that uint8 can hold"),
        ({"f": Uniform(1, 1)}, "needs finite low < high"),
        ({"f": Uniform(1, 0)}, "needs finite low < high"),
        ({"f": Uniform(0, np.inf)}, "needs finite low < high"),
        ({"f": Uniform(-3e38, 3e38)}, "needs finite low < high"),
        ({"f": Normal(0, 0)}, "std > 0"),
        ({"f": Constant(1e39)}, "a value that float32 can hold"),
    ],
)
def test_inputs_that_do_not_fit(inputs, message):
    with pytest.raises(ContractError, match=message):
        _ = reference(typed, {"n": 4}, inputs=inputs).contract


# --- Inputs -------------------------------------------------------------------------------------


@given(st.integers(0, 2**62), st.sampled_from(FLAVOURS))
def test_inputs_come_back_for_a_seed(seed, flavour):
    ref = reference(two, {"n": 9, "m": 9, "k": 5})
    case = Case({"n": 4, "m": 3, "k": 2}, seed, flavour)
    first, again = draw_inputs(ref, case), draw_inputs(ref, decode(encode(case), Case))
    assert list(first) == ["u", "k"]
    assert first["u"].shape == (4, 3)
    assert first["u"].tobytes() == again["u"].tobytes()
    assert first["k"] == 2


def test_scalars_are_what_a_caller_passes():
    ref = reference(scalars, {"k": 3}, inputs={"a": Constant(0.1), "b": Constant(0.1)})
    values = draw_inputs(ref, Case({"k": 3}, 0))
    assert [type(v) for v in values.values()] == [
        float, np.float32, complex, bool, np.complex64, np.int8,
    ]  # fmt: skip
    assert values["b"] == np.float32(0.1)


def test_a_workload_fixes_scalars():
    workload = Workload("w", {"k": 3}, {"a": 2.5, "d": 1.0, "b": 0.1})
    values = draw_inputs(reference(scalars, {"k": 3}), Case.of_workload(workload, 0))
    assert (values["a"], values["d"], values["b"]) == (2.5, True, np.float32(0.1))


def given_inputs(made, fn=two):
    ref = reference(fn, {"n": 3, "m": 2, "k": 1}, inputs=lambda sizes, rng: made)
    return draw_inputs(ref, Case({"n": 3, "m": 2, "k": 1}, 0))


def test_a_callable_may_give_some_and_the_rest_is_drawn():
    values = given_inputs({"u": np.asfortranarray(np.ones((3, 2)))})
    assert values["u"].flags.c_contiguous
    assert values["k"] == 1
    assert given_inputs({})["u"].shape == (3, 2)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, "returned a NoneType; return a dict"),
        ((1, 2), "returned a tuple; return a dict"),
        ({"v": 1}, r"returned \['v'\], which are no arguments"),
        ({"u": np.ones((2, 3))}, r"returned u as float64\(2, 3\), annotated is float64\(3, 2\)"),
        ({"u": np.ones((3, 2), "f4")}, "returned u as float32"),
        ({"u": np.ones((3, 2), ">f8")}, "returned u as"),
        ({"k": 2}, "returned k=2, asked was 1"),
        ({"k": 1.5}, "returned k=1.5, annotated is int64"),
        ({"k": [1, 2]}, r"returned k=\[1, 2\], annotated is int64"),
    ],
)
def test_a_callable_that_does_not_do_as_annotated(made, message):
    with pytest.raises(ContractError, match=message):
        given_inputs(made)


def test_complex_arrays_have_both_parts():
    def fn(u: Complex128[np.ndarray, "n"]) -> float: ...

    values = draw_inputs(reference(fn, {"n": 9}), Case({"n": 9}, 0))["u"]
    assert len({*values.real, *values.imag}) == 18
