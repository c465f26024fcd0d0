"""Exponentials and maxima that compilers can vectorise keep NumPy's values."""

from __future__ import annotations

import re

import numpy as np
import pytest
from jaxtyping import Float32, Float64

from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.numba.emit import NumbaOptions, numba_source
from outpace.codegen.reference import Reference, ReferenceOptions


def exp32(a: Float32[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
    return np.exp(a)


def exp64(a: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.exp(a)


def largest(a: Float64[np.ndarray, "n"]) -> float:
    return np.max(a)


def kernel_of(fn):
    """The kernel with vector functions, run by Python."""
    reference = Reference(fn, ReferenceOptions({"w": {"n": 4}}))
    source = numba_source(lift(reference), NumbaOptions(vector_math=True))
    names = {}
    exec(re.sub(r"@numba.*", "", source), names)
    return names["kernel"]


@pytest.mark.parametrize(("fn", "dtype"), [(exp32, "float32"), (exp64, "float64")])
def test_exp_is_within_two_units_in_the_last_place(fn, dtype):
    info = np.finfo(dtype)
    x = np.linspace(np.log(info.tiny), np.log(info.max) - 1, 4001).astype(dtype)
    got = np.empty_like(x)
    kernel_of(fn)(x, got)
    expected = np.exp(x.astype(np.longdouble))
    assert np.max(np.abs(got - expected) / expected) < 2 * info.eps


@pytest.mark.parametrize(("fn", "dtype"), [(exp32, "float32"), (exp64, "float64")])
def test_exp_at_the_edges(fn, dtype):
    x = np.array([0, -np.inf, np.inf, np.nan, 1e4, -1e4], dtype)
    got = np.empty_like(x)
    with np.errstate(over="ignore", under="ignore"):
        kernel_of(fn)(x, got)
    np.testing.assert_array_equal(got, np.array([1, 0, np.inf, np.nan, np.inf, 0], dtype))


@pytest.mark.parametrize("values", [[1.0, 3.0, 2.0], [1.0, np.nan, 2.0], [-np.inf], [np.nan]])
def test_a_maximum_keeps_nan(values):
    got = np.empty(1)
    kernel_of(largest)(np.array(values), got)
    np.testing.assert_array_equal(got, [np.max(values)])
