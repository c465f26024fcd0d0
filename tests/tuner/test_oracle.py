"""The oracle: running a reference as it is and in higher precision."""

import functools
import math

import numpy as np
import pytest
from jaxtyping import Complex64, Complex128, Float32, Float64, Int64

from outpace.codegen.distributions import Integers, Uniform
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.tuner.numerics.oracle import Mode, Oracle

WEIGHTS = np.array([0.1, 0.2, 0.7])
SHARE = np.float64(0.3)


def oracle_of(fn, **options):
    reference = Reference(fn, ReferenceOptions(**{"workloads": {"w": {"n": 500}}, **options}))
    return Oracle(reference)


def blur(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    out = np.zeros(x.shape)
    out[1:-1] = WEIGHTS[0] * x[:-2] + WEIGHTS[1] * x[1:-1] + WEIGHTS[2] * x[2:]
    return out


def _helper(x):
    scratch = np.empty(len(x), dtype=np.float64)
    scratch[:] = x / 3
    return scratch.astype("float64") * SHARE


def with_helper(x: Float64[np.ndarray, "n"], factor: float) -> Float64[np.ndarray, "n"]:
    return _helper(x) * np.float64(factor) + np.linspace(0, 1, len(x))


def scalar_loop(x: Float64[np.ndarray, "n"]) -> float:
    total = 0.0
    for value in x:
        total += math.sin(value) * math.pow(2.0, math.floor(value))
    return float(total)


def single(x: Float32[np.ndarray, "n"], scale: float) -> Float32[np.ndarray, "n"]:
    return np.exp(x) * scale


def in_place(x: Float64[np.ndarray, "n"], y: Float64[np.ndarray, "n"]) -> None:
    x += y / 3


def rotate(z: Complex128[np.ndarray, "n"]) -> Complex128[np.ndarray, "n"]:
    return np.full(z.shape, complex(1)) * z * (0.6 + 0.8j) / 7


def rotate_single(z: Complex64[np.ndarray, "n"]) -> Complex64[np.ndarray, "n"]:
    return z * z


def two(x: Float64[np.ndarray, "n"]) -> tuple[Int64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    return np.argsort(x), np.cumsum(x)


def functional(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return functools.reduce(np.add, [x / 3] * 3)


PROMOTABLE = [
    (blur, np.longdouble),
    (with_helper, np.longdouble),
    (scalar_loop, np.longdouble),
    (single, np.float64),
    (rotate, np.clongdouble),
    (rotate_single, np.complex128),
    (functional, np.longdouble),
]


def inputs_of(oracle, n=50, seed=3):
    rng = np.random.default_rng(seed)
    values = {}
    for a in oracle.contract.arguments:
        value = rng.normal(size=n) + (1j * rng.normal(size=n) if "complex" in a.dtype else 0)
        values[a.name] = value.astype(a.dtype) if a.is_array else 0.7
    return values


@pytest.mark.parametrize(("fn", "dtype"), PROMOTABLE, ids=lambda p: getattr(p, "__name__", None))
def test_computes_every_digit_in_higher_precision(fn, dtype):
    oracle = oracle_of(fn)
    assert oracle.mode == Mode.HIGH == "high-precision", oracle.why
    inputs = inputs_of(oracle)
    (native,), (high,) = oracle.native(inputs, {"n": 50}), oracle.high(inputs, {"n": 50})
    assert high.dtype == dtype
    u = np.finfo(native.dtype).eps
    assert np.allclose(native, high.astype(native.dtype), rtol=100 * u, atol=100 * u)
    assert np.any(native != high)


def test_the_copy_is_right_to_the_last_digit_of_its_precision():
    oracle = oracle_of(with_helper)
    x = np.random.default_rng(0).normal(size=50)
    (high,) = oracle.high({"x": x, "factor": 0.7}, {"n": 50})
    exact = x.astype(np.longdouble) / 3 * np.longdouble(0.3) * np.longdouble(0.7)
    exact += np.arange(50, dtype=np.longdouble) / 49
    assert np.max(np.abs(high - exact)) < 10 * np.finfo(np.longdouble).eps


def test_integer_results_keep_their_dtype_beside_promoted_ones():
    oracle = oracle_of(two)
    x = np.random.default_rng(0).normal(size=9)
    order, total = oracle.high({"x": x}, {"n": 9})
    assert order.dtype == np.int64
    assert total.dtype == np.longdouble


def test_mutated_arrays_are_copied_and_come_first():
    oracle = oracle_of(in_place, mutates=("x",))
    x, y = np.ones(4), np.arange(4.0)
    (result,) = oracle.native({"x": x, "y": y}, {"n": 4})
    (high,) = oracle.high({"x": x, "y": y}, {"n": 4})
    assert np.array_equal(x, np.ones(4))
    assert np.array_equal(result, 1 + np.arange(4.0) / 3)
    assert high.dtype == np.longdouble


def inverse(a: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n n"]:
    return np.linalg.inv(a + 10 * np.eye(a.shape[0]))


def interpolated(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.interp(x, np.arange(9.0), np.arange(9.0) ** 2)


def with_limits(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return x / (np.abs(x) + np.finfo(np.float64).eps)


def counted(x: Float64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    return np.argsort(x)


def copied(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return x.copy()


def divided(k: Int64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return k / 7


def erfs(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.array([math.erf(v) for v in x]).reshape(x.shape)


def branching(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return x / 3 if x.itemsize == 8 else x / 5


@pytest.mark.parametrize(
    ("fn", "why"),
    [
        (inverse, "unsupported"),
        (interpolated, "np.interp"),
        (with_limits, "np.finfo"),
        (counted, "exactly"),
        (copied, "no digit"),
        (divided, "stays float64"),
        (erfs, "math.erf"),
        (branching, "not those of the reference"),
    ],
    ids=lambda p: getattr(p, "__name__", None),
)
def test_native_mode_says_why(fn, why):
    oracle = oracle_of(fn)
    assert oracle.mode == Mode.NATIVE == "native"
    assert why in oracle.why
    assert oracle.high(inputs_of(oracle), {"n": 50}) is None


def test_a_declared_tolerance_needs_no_copy():
    oracle = oracle_of(blur, tolerance=1e-9)
    assert oracle.mode == "declared"
    assert oracle.high({"x": np.ones(3)}, {"n": 3}) is None


def picky(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    if len(x) < 3:
        raise ValueError("too short")
    return x / 3


def test_sizes_at_which_the_reference_raises_do_not_decide_the_mode():
    oracle = oracle_of(picky)
    assert oracle.mode is Mode.HIGH
    with pytest.raises(ValueError, match="too short"):
        oracle.native({"x": np.ones(2)}, {"n": 2})
    assert oracle.high({"x": np.ones(2)}, {"n": 2}) is None


def keyword(x: Float64[np.ndarray, "n"], *, k: int) -> Float64[np.ndarray, "n"]:
    return x / (k + 3)


def test_keyword_only_arguments():
    oracle = oracle_of(keyword, workloads={"w": {"n": 9, "k": 2}}, inputs={"x": Uniform(0, 1)})
    assert oracle.mode is Mode.HIGH
    (result,) = oracle.native({"x": np.ones(2), "k": 2}, {"n": 2, "k": 2})
    assert np.array_equal(result, [0.2, 0.2])


def test_a_reference_that_always_raises_leaves_a_native_oracle():
    oracle = oracle_of(always, inputs={"x": Integers(0, 2)})
    assert oracle.mode is Mode.NATIVE


def always(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    raise RuntimeError(len(x))
