"""The acceptance rule: wrong variants are killed, other orders of summation are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Bool, Complex128, Float32, Float64, Int64

from outpace.codegen.distributions import Uniform
from outpace.codegen.inputs import Case, draw_cases, draw_inputs
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import UntestableError
from outpace.model import Tolerance
from outpace.tuner.numerics import acceptance
from outpace.tuner.numerics.acceptance import Band, Envelope, Expected, compare, expect
from outpace.tuner.numerics.oracle import Mode, Oracle


def laplace(u: Float64[np.ndarray, "n+2 m+2"]) -> Float64[np.ndarray, "n m"]:
    return u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1]


def determinant(
    a: Float64[np.ndarray, "n"],
    b: Float64[np.ndarray, "n"],
    c: Float64[np.ndarray, "n"],
    d: Float64[np.ndarray, "n"],
) -> Float64[np.ndarray, "n"]:
    return a * b - c * d


def row_sums(a: Float32[np.ndarray, "n m"]) -> Float32[np.ndarray, "n"]:
    return np.sum(a, axis=1)


def total(a: Float64[np.ndarray, "n"]) -> float:
    return np.sum(a)


def product(
    a: Float64[np.ndarray, "n k"], b: Float64[np.ndarray, "k m"]
) -> Float64[np.ndarray, "n m"]:
    return np.einsum("ik,kj->ij", a, b)


def product_single(
    a: Float32[np.ndarray, "n k"], b: Float32[np.ndarray, "k m"]
) -> Float32[np.ndarray, "n m"]:
    return a @ b


def product_complex(
    a: Complex128[np.ndarray, "n k"], b: Complex128[np.ndarray, "k m"]
) -> Complex128[np.ndarray, "n m"]:
    return a @ b


def softmax(z: Float32[np.ndarray, "n k"]) -> Float32[np.ndarray, "n k"]:
    w = np.exp(z - np.max(z, axis=1, keepdims=True, initial=-100))
    return w / np.sum(w, axis=1, keepdims=True)


def solve(a: Float64[np.ndarray, "n n"], b: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.linalg.solve(a + 100 * np.eye(len(b)), b)


def damp(u: Float64[np.ndarray, "n"], v: Float64[np.ndarray, "n"]) -> None:
    u[1:-1] = u[1:-1] / 3 + v[1:-1]


def largest(a: Float64[np.ndarray, "n m"]) -> Int64[np.ndarray, "n"]:
    return np.argmax(a, axis=1) if a.shape[1] else np.zeros(len(a), dtype=np.int64)


def sequential(a, axis):
    out = np.zeros(np.delete(a.shape, axis), a.dtype)
    for part in np.moveaxis(a, axis, 0):
        out = out + part
    return out


def blocked(a, axis, width=8):
    parts = [sequential(p, axis) for p in np.array_split(a, max(a.shape[axis] // width, 1), axis)]
    return sequential(np.stack(parts), 0)


def fused(x, y, z):
    """x * y + z with one rounding."""
    return (x.astype(np.longdouble) * y + z).astype(x.dtype)


def loops(a, b):
    out = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for k in range(a.shape[1]):
        out = out + a[:, k, None] * b[None, k]
    return out


def low(x):
    kind = {"d": np.float32, "f": np.float16, "D": np.complex64}[x.dtype.char]
    return x.astype(kind).astype(x.dtype)


def without_last(f):
    def mutant(*args):
        out = f(*args)
        out[-1:] = 0
        return out

    return mutant


def damped(u, v, *, boundary=False, scratch=lambda x: x):
    out = u.copy()
    inside = slice(None) if boundary else slice(1, -1)
    out[inside] = scratch(u[inside] * (1 / 3)) + v[inside]
    return out


CORRECT = [
    (laplace, lambda u: -4 * u[1:-1, 1:-1] + u[1:-1, 2:] + u[2:, 1:-1] + u[1:-1, :-2]
     + u[:-2, 1:-1]),
    (laplace, lambda u: (u[:-2] - 2 * u[1:-1] + u[2:])[:, 1:-1]
     + (u[:, :-2] - 2 * u[:, 1:-1] + u[:, 2:])[1:-1]),
    (determinant, lambda a, b, c, d: fused(a, b, -(c * d))),
    (determinant, lambda a, b, c, d: fused(-c, d, a * b)),
    (row_sums, lambda a: sequential(a, 1)),
    (row_sums, lambda a: sequential(a[:, ::-1], 1)),
    (row_sums, lambda a: blocked(a, 1)),
    (total, lambda a: sequential(a, 0).reshape(1)),
    (total, lambda a: blocked(a, 0).reshape(1)),
    (product, loops),
    (product, np.matmul),
    (product_single, loops),
    (product_single, lambda a, b: (a.astype(float) @ b).astype(np.float32)),
    (product_complex, loops),
    (softmax, lambda z: np.exp(z) * (1 / sequential(np.exp(z), 1))[:, None]),
    (solve, lambda a, b: np.linalg.inv(a + 100 * np.eye(len(b))) @ b),
    (damp, damped),
    (largest, largest),
]  # fmt: skip

MUTANTS = [
    ("index", laplace, lambda u: u[:-2, 1:-1] * 2 + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1]),
    ("shift", laplace, lambda u: np.roll(laplace(u), 1, axis=0)),
    ("tail", laplace, without_last(laplace)),
    ("precision", laplace, lambda u: low(laplace(u))),
    ("swapped", determinant, lambda a, b, c, d: a * c - b * d),
    ("precision", determinant, lambda a, b, c, d: a * b - low(c * d)),
    ("tail", row_sums, lambda a: np.sum(a[:, :-1], axis=1)),
    ("precision", row_sums, lambda a: np.sum(low(a), axis=1)),
    ("off by one", total, lambda a: np.sum(a[1:]).reshape(1)),
    ("precision", total, lambda a: np.sum(low(a)).reshape(1)),
    ("precision", product, lambda a, b: low(low(a) @ low(b))),
    ("tail", product, without_last(product)),
    ("precision", product_single, lambda a, b: low(a) @ low(b)),
    ("conjugate", product_complex, lambda a, b: a.conj() @ b),
    ("precision", product_complex, lambda a, b: low(a @ b)),
    ("precision", softmax, lambda z: low(softmax(z))),
    ("uniform", softmax, lambda z: np.full_like(z, 1 / max(z.shape[1], 1))),
    ("precision", solve, lambda a, b: low(solve(a, b))),
    ("boundary", damp, lambda u, v: damped(u, v, boundary=True)),
    ("precision", damp, lambda u, v: damped(u, v, scratch=low)),
    ("first", largest, lambda a: np.zeros(len(a), dtype=np.int64)),
]


def reference_of(fn, **options):
    named = {d for a in fn.__annotations__.values() for d in getattr(a, "dim_str", "").split()}
    workloads = {"w": {d.removesuffix("+2"): 500 for d in named}}
    if fn is damp:
        options["mutates"] = ("u",)
    return Reference(fn, ReferenceOptions(**{"workloads": workloads, **options}))


_PREPARED = {}


def prepared(fn):
    """Drawn cases of a reference: inputs and what the results must be."""
    if fn not in _PREPARED:
        reference = reference_of(fn)
        oracle = Oracle(reference)
        found = []
        for case in draw_cases(reference, 24, seed=11):
            inputs = draw_inputs(reference, case)
            rng = np.random.default_rng(case.seed)
            found.append((inputs, expect(oracle, inputs, case.sizes, rng)))
        _PREPARED[fn] = (reference.contract, oracle, found)
    return _PREPARED[fn]


def mismatches(fn, variant):
    contract, _, cases = prepared(fn)
    with np.errstate(all="ignore"):
        return [
            compare(contract, expected, [np.asarray(variant(*inputs.values()))])
            for inputs, expected in cases
        ]


@pytest.mark.parametrize(("fn", "variant"), CORRECT)
def test_correct_variants_are_accepted(fn, variant):
    assert mismatches(fn, variant) == [None] * len(prepared(fn)[2])


@pytest.mark.parametrize(("name", "fn", "mutant"), MUTANTS)
def test_mutants_are_killed(name, fn, mutant):
    del name
    killed = [m for m in mismatches(fn, mutant) if m is not None]
    assert len(killed) > len(prepared(fn)[2]) / 2  # empty and one-element cases may not show it


@pytest.mark.parametrize("offset", [0, 2])
@pytest.mark.parametrize("m", [300, 5000])
def test_long_sequential_sums_in_single_precision_are_accepted(m, offset):
    contract, oracle, _ = prepared(row_sums)
    rng = np.random.default_rng(m)
    a = (rng.normal(size=(100, m)) + offset).astype(np.float32)
    expected = expect(oracle, {"a": a}, {"n": 100, "m": m}, rng)
    assert compare(contract, expected, [sequential(a, 1)]) is None
    assert compare(contract, expected, [np.sum(a[:, :-1], axis=1)]) is not None
    assert compare(contract, expected, [np.sum(a[:, 1:], axis=1)]) is not None


def test_the_solver_is_judged_natively_and_the_others_in_higher_precision():
    modes = {fn.__name__: prepared(fn)[1].mode for fn, _ in CORRECT}
    native = {name for name, mode in modes.items() if mode is Mode.NATIVE}
    assert native == {"solve", "largest"}


def test_the_reference_itself_is_accepted():
    for fn, _ in CORRECT:
        contract, _, cases = prepared(fn)
        for _, expected in cases:
            assert compare(contract, expected, expected.native) is None


@pytest.mark.parametrize("fn", [damp, solve, product_complex])
def test_inputs_stay_unchanged(fn):
    contract, oracle, _ = prepared(fn)
    sizes = dict.fromkeys(contract.dims, 9)
    inputs = draw_inputs(oracle.reference, Case(sizes, 0))
    before = {name: value.copy() for name, value in inputs.items()}
    expect(oracle, inputs, sizes, np.random.default_rng(0))
    assert all(np.array_equal(before[name], value) for name, value in inputs.items())


def test_a_mismatch_names_the_worst_element_and_counts_them():
    contract, _, cases = prepared(determinant)
    _, expected = max(cases, key=lambda c: c[1].native[0].size)
    got = expected.native[0].copy()
    got[3] += 1e-9
    got[7] += 1e-3
    mismatch = compare(contract, expected, [got])
    assert (mismatch.output, mismatch.index, mismatch.count) == ("out", (7,), 2)
    assert mismatch.got == got[7]
    assert mismatch.allowed < 1e-12


# --- Masks, integers, failing closed --------------------------------------------------------------


def band(native, allowed=1e-9):
    native = np.asarray(native)
    return Band(native, native, np.full(native.shape, allowed))


def outcome(fn, native, got, allowed=1e-9):
    contract = reference_of(fn).contract
    return compare(contract, Expected((band(native, allowed),), Mode.NATIVE), [np.asarray(got)])


SPECIAL = [np.nan, np.inf, -np.inf, 1.0]


@pytest.mark.parametrize("wanted", SPECIAL)
@pytest.mark.parametrize("found", SPECIAL)
def test_nan_and_infinity_must_be_where_they_belong(wanted, found):
    same = wanted == found or (np.isnan(wanted) and np.isnan(found))
    assert (outcome(determinant, [1.0, wanted], [1.0, found]) is None) == same


def test_complex_masks():
    one = complex(1, 1)
    for native, got, same in [
        (complex(np.nan, 1), complex(0, np.nan), True),
        (complex(np.inf, 0), complex(-np.inf, 0), True),
        (complex(np.inf, 0), one, False),
        (one, complex(np.nan, 0), False),
    ]:
        assert (outcome(product_complex, [[native]], [[got]]) is None) == same


def positive(x: Float64[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    return x > 0


def test_bytes_that_are_no_booleans_are_not_taken_for_true():
    contract = Reference(positive, ReferenceOptions(workloads={"w": {"n": 3}})).contract
    native = np.array([True, True, True])
    got = np.array([1, 37, 1], np.uint8).view(bool)
    expected = Expected((band(native, 0.0),), Mode.HIGH)
    envelope = Envelope.calibrate([expected])
    assert compare(contract, expected, [native]) is None
    assert compare(contract, expected, [got]) is not None
    assert envelope.compare(contract, [native], [native]) is None
    assert envelope.compare(contract, [native], [got]) is not None


def test_integers_are_exact():
    assert outcome(largest, np.array([3, 4]), np.array([3, 4])) is None
    mismatch = outcome(largest, np.array([3, 4]), np.array([3, 5]))
    assert (mismatch.index, mismatch.expected, mismatch.got) == ((1,), 4.0, 5.0)


@pytest.mark.parametrize("allowed", [np.nan, np.inf])
def test_a_band_that_is_not_finite_accepts_nothing(allowed):
    assert outcome(determinant, [1.0], [1.0], allowed) is not None


@pytest.mark.parametrize(
    "got",
    [np.ones(2, dtype=np.float32), np.ones(3), np.ones((2, 1)), [1.0, 1.0], None],
    ids=["dtype", "length", "rank", "list", "nothing"],
)
def test_another_dtype_or_shape_is_a_mismatch(got):
    contract = reference_of(determinant).contract
    expected = Expected((band([1.0, 1.0]),), Mode.NATIVE)
    envelope = Envelope.calibrate([expected])
    assert compare(contract, expected, [got]) is not None
    assert envelope.compare(contract, [np.ones(2)], [got]) is not None


def test_an_exception_while_comparing_is_a_mismatch():
    contract = reference_of(determinant).contract
    broken = Expected((Band(np.ones(2), np.ones(2), np.ones(3)),), Mode.NATIVE)
    assert "ValueError" in compare(contract, broken, [np.ones(2)]).got
    assert compare(contract, broken, []) is not None


def test_empty_results_are_equal():
    assert outcome(determinant, np.zeros(0), np.zeros(0)) is None


# --- Modes ----------------------------------------------------------------------------------------


def test_a_declared_tolerance_replaces_the_rule():
    oracle = Oracle(reference_of(determinant, tolerance=Tolerance(rtol=1e-3, atol=1e-6)))
    inputs = {"a": np.full(2, 2.0), "b": np.ones(2), "c": np.zeros(2), "d": np.zeros(2)}
    expected = expect(oracle, inputs, {"n": 2}, np.random.default_rng(0))
    assert expected.mode is Mode.DECLARED
    assert np.allclose(expected.bands[0].allowed, 2e-3 + 1e-6)


def spectrum(k: Int64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.cumsum(np.sin(k * np.float64(0.1)))


def test_references_without_float_inputs_allow_for_rounding():
    oracle = Oracle(reference_of(spectrum))
    assert oracle.mode is Mode.HIGH, oracle.why
    k = np.arange(300)
    expected = expect(oracle, {"k": k}, {"n": 300}, np.random.default_rng(0))
    other = np.array([np.sin(k[: i + 1] * 0.1).sum() for i in range(300)])
    assert compare(oracle.contract, expected, [other]) is None
    assert compare(oracle.contract, expected, [other * (1 + 1e-8)]) is not None


def near_pole(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.arccos(x) / 3


def test_perturbed_runs_that_leave_the_domain_do_not_widen_the_band():
    oracle = Oracle(reference_of(near_pole, inputs={"x": Uniform(-1, 1)}))
    x = np.array([1.0, 0.5, -1.0, np.nan])
    expected = expect(oracle, {"x": x}, {"n": 4}, np.random.default_rng(0))
    assert np.all(np.isfinite(expected.bands[0].allowed[:3]))
    assert compare(oracle.contract, expected, [np.arccos(x) / 3]) is None
    assert compare(oracle.contract, expected, [np.zeros(4)]) is not None


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.integers(2, 200), st.floats(-6, 6))
def test_bands_scale_with_the_data(seed, n, exponent):
    _, oracle, _ = prepared(total)
    a = np.random.default_rng(seed).normal(size=n)
    factor = 2.0 ** round(exponent)
    rngs = (np.random.default_rng(seed) for _ in range(2))
    bands = [
        expect(oracle, {"a": x}, {"n": n}, r).bands[0]
        for x, r in zip((a, a * factor), rngs, strict=True)
    ]
    assert bands[1].allowed == pytest.approx(bands[0].allowed * factor, rel=1e-9)


# --- Workload size --------------------------------------------------------------------------------


def calibrated(fn, sizes, seeds=(1, 2, 3)):
    reference = reference_of(fn)
    oracle = Oracle(reference)
    expected = [
        expect(
            oracle, draw_inputs(reference, Case(sizes, seed)), sizes, np.random.default_rng(seed)
        )
        for seed in seeds
    ]
    return reference, oracle, expected


@pytest.mark.parametrize(("fn", "variant"), CORRECT)
def test_the_envelope_accepts_correct_variants(fn, variant):
    sizes = dict.fromkeys(reference_of(fn).contract.dims, 60)
    reference, oracle, expected = calibrated(fn, sizes)
    envelope = Envelope.calibrate(expected)
    for seed in range(10, 20):
        inputs = draw_inputs(reference, Case(sizes, seed))
        native = oracle.native(inputs, sizes)
        assert envelope.compare(reference.contract, native, native) is None
        got = np.asarray(variant(*inputs.values()))
        assert envelope.compare(reference.contract, native, [got]) is None


@pytest.mark.parametrize(("name", "fn", "mutant"), MUTANTS)
def test_the_envelope_kills_mutants(name, fn, mutant):
    del name
    sizes = dict.fromkeys(reference_of(fn).contract.dims, 60)
    reference, oracle, expected = calibrated(fn, sizes)
    inputs = draw_inputs(reference, Case(sizes, 9))
    native = oracle.native(inputs, sizes)
    got = np.asarray(mutant(*inputs.values()))
    mismatch = Envelope.calibrate(expected).compare(reference.contract, native, [got])
    assert mismatch is not None
    assert mismatch.count >= 1


def test_the_envelope_finds_one_wrong_element_among_blocks(monkeypatch):
    monkeypatch.setattr(acceptance, "_BLOCK", 7)
    reference, oracle, expected = calibrated(determinant, {"n": 60})
    envelope = Envelope.calibrate(expected)
    native = oracle.native(draw_inputs(reference, Case({"n": 60}, 9)), {"n": 60})
    for value in (native[0][41] + 1e-9, np.nan, np.inf):
        got = native[0].copy()
        got[41] = value
        mismatch = envelope.compare(reference.contract, native, [got])
        assert (mismatch.index, mismatch.count) == ((41,), 1)


def test_the_root_mean_square_finds_errors_that_no_single_element_shows():
    native = np.linspace(-1, 1, 1000)
    allowed = np.full(1000, 1e-12)
    allowed[3] = 1e-6  # a discontinuity
    envelope = Envelope.calibrate([Expected((Band(native, native, allowed),), Mode.HIGH)])
    contract = reference_of(determinant).contract
    assert envelope.compare(contract, [native], [native + 1e-12]) is None
    mismatch = envelope.compare(contract, [native], [native + 5e-7])
    assert mismatch.count == 1000


def test_the_envelope_keeps_masks_and_integers():
    contract = reference_of(determinant).contract
    native = np.array([1.0, np.nan, np.inf])
    envelope = Envelope.calibrate([Expected((band(native),), Mode.HIGH)])
    assert envelope.compare(contract, [native], [native.copy()]) is None
    for wrong in ([1.0, 0.0, np.inf], [1.0, np.nan, -np.inf], [1.0, np.nan, 9.0]):
        assert envelope.compare(contract, [native], [np.array(wrong)]) is not None
    exact = Envelope.calibrate([Expected((band(np.arange(4)),), Mode.HIGH)])
    contract = reference_of(largest).contract
    assert exact.compare(contract, [np.arange(4)], [np.arange(4)]) is None
    mismatch = exact.compare(contract, [np.arange(4)], [np.array([0, 1, 7, 8])])
    assert (mismatch.index, mismatch.count) == ((2,), 2)


@pytest.mark.parametrize("allowed", [np.nan, np.inf])
def test_bands_that_are_not_finite_calibrate_nothing(allowed):
    with pytest.raises(UntestableError, match="not finite"):
        Envelope.calibrate([Expected((band([1.0], allowed),), Mode.HIGH)])
