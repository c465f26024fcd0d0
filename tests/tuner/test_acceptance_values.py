"""Acceptance of values that floating point makes special: large integers, zeros, overflow."""

import numpy as np
from jaxtyping import Complex128, Float32, Int64, UInt64

from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.tuner.numerics.acceptance import Band, Envelope, Expected, compare, expect
from outpace.tuner.numerics.oracle import Mode, Oracle


def reference_of(fn):
    return Reference(fn, ReferenceOptions(workloads={"w": {"n": 500}}))


def counted(x: Int64[np.ndarray, "n"]) -> UInt64[np.ndarray, "n"]:
    return x.astype(np.uint64)


def test_integers_beyond_the_precision_of_floats_are_exact_and_told_apart():
    contract = reference_of(counted).contract
    native = np.array([1, 2**63, 2**53 + 1], np.uint64)
    got = np.array([1, 2**63, 2**53], np.uint64)
    expected = Expected((Band(native, native, np.zeros(3)),), Mode.NATIVE)
    for mismatch in (
        compare(contract, expected, [got]),
        Envelope.calibrate([expected]).compare(contract, [native], [got]),
    ):
        assert (mismatch.index, mismatch.count) == ((2,), 1)
        assert (mismatch.expected, mismatch.got) == ("9007199254740993", 2.0**53)


def test_zeros_of_either_sign_are_equal():
    contract = reference_of(overflowing).contract
    native = np.array([0.0, -0.0], np.float32)
    expected = Expected((Band(native, native, np.zeros(2)),), Mode.NATIVE)
    assert compare(contract, expected, [-native]) is None


def overflowing(x: Float32[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
    return np.exp(x)


def test_overflow_in_the_declared_precision_is_part_of_the_result():
    """In higher precision there is no infinity, and the draft must give one all the same."""
    oracle = Oracle(reference_of(overflowing))
    x = np.array([1.0, 100.0, -200.0], np.float32)
    expected = expect(oracle, {"x": x}, {"n": 3}, np.random.default_rng(0))
    right = np.array([np.e, np.inf, 0.0], np.float32)
    assert compare(oracle.contract, expected, [right]) is None
    largest = np.finfo(np.float32).max
    assert compare(oracle.contract, expected, [np.minimum(right, largest)]) is not None


def test_subnormal_numbers_may_be_flushed():
    oracle = Oracle(reference_of(overflowing))
    x = np.array([-90.0, -95.0, 0.0], np.float32)
    expected = expect(oracle, {"x": x}, {"n": 3}, np.random.default_rng(0))
    assert 0 < expected.native[0][0] < np.finfo(np.float32).tiny
    flushed = np.array([0.0, 0.0, 1.0], np.float32)
    assert compare(oracle.contract, expected, [flushed]) is None


def moments(
    x: Complex128[np.ndarray, "n"], k: Int64[np.ndarray, "n"]
) -> tuple[complex, float, int, bool]:
    return np.sum(x), np.sum(np.abs(x) ** 2), np.sum(k), np.any(k > 90)


def test_reductions_to_scalars_of_every_kind():
    reference = reference_of(moments)
    oracle = Oracle(reference)
    inputs = draw_inputs(reference, Case({"n": 65}, 3, "cancelling"))
    expected = expect(oracle, inputs, {"n": 65}, np.random.default_rng(0))
    assert [b.native.dtype.name for b in expected.bands] == [
        "complex128", "float64", "int64", "bool",
    ]  # fmt: skip
    x, k = inputs["x"], inputs["k"]
    right = [
        np.cumsum(x[::-1])[-1:],
        np.cumsum(x.real**2 + x.imag**2)[-1:],
        np.array([k.sum()]),
        np.array([(k > 90).any()]),
    ]
    assert compare(oracle.contract, expected, right) is None
    for position, wrong in enumerate(
        (right[0].conj(), right[1] * (1 + 1e-9), right[2] + 1, ~right[3])
    ):
        mutant = [wrong if i == position else r for i, r in enumerate(right)]
        assert compare(oracle.contract, expected, mutant).output == oracle.contract.outputs[
            position
        ].name  # fmt: skip
