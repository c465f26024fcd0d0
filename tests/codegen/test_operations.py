"""Counts of floating-point operations, beside what NumPy is seen to do."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Complex128, Float32, Float64

import outpace
from outpace.codegen.nests import operations
from outpace.codegen.nests.operations import Operations, operations_of
from outpace.kernels.library import aerospace, astro, climate, linalg, medical, quantum

_ARITHMETIC = {np.add, np.subtract, np.multiply, np.divide}
_FUNCTIONS = {np.sqrt, np.exp, np.cos, np.sin}


class Watched(np.ndarray):
    """An array that counts what ufuncs do with it."""

    seen: Counter = Counter()

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        plain = [np.asarray(x) if isinstance(x, Watched) else x for x in inputs]
        if out is not None:
            kwargs["out"] = tuple(np.asarray(x) for x in out)
        result = getattr(ufunc, method)(*plain, **kwargs)
        if np.asarray(result).dtype.kind in "fc":
            self.count(ufunc, method, plain, np.asarray(result))
        return np.asarray(result).view(Watched)

    def __array_function__(self, function, types, args, kwargs):
        result = super().__array_function__(function, types, args, kwargs)
        return result.view(Watched) if isinstance(result, np.ndarray) else result

    def count(self, ufunc, method, given, result):
        parts = {np.add: 2, np.subtract: 2, np.multiply: 6}
        done = given[0].size if method == "reduce" else result.size
        if ufunc is np.matmul:
            self.seen[result.dtype.name] += 2 * result.size * given[0].shape[-1]
        elif ufunc in _ARITHMETIC and result.dtype.kind == "c":
            self.seen["float64"] += done * parts[ufunc]
        elif ufunc in _ARITHMETIC:
            self.seen[result.dtype.name] += done
        elif ufunc in _FUNCTIONS:
            self.seen["function"] += done


def watched(value):
    return value if isinstance(value, int) else np.asarray(value).view(Watched)


def seen(fn, sizes, **values):
    """What NumPy does in a call of the reference itself."""
    Watched.seen = Counter()
    fn.reference.written(**{name: watched(value) for name, value in values.items()})
    functions = Watched.seen.pop("function", 0)
    return Operations(dict(Watched.seen), functions), operations_of(fn.reference, sizes)


RNG = np.random.default_rng(1)


@settings(max_examples=8, deadline=None)
@given(y=st.integers(3, 9), x=st.integers(3, 9), steps=st.integers(0, 4))
def test_stencils_are_counted_as_numpy_does_them(y, x, steps):
    sizes = {"y": y, "x": x, "steps": steps}
    by_numpy, counted = seen(aerospace.jacobi_2d, sizes, u=RNG.random((y, x)), steps=steps)
    assert counted.total == by_numpy.total == 4 * steps * (y - 2) * (x - 2)


@settings(max_examples=5, deadline=None)
@given(i=st.integers(1, 6), j=st.integers(1, 6), k=st.integers(1, 6))
def test_temporaries_are_counted_once(i, j, k):
    field, coeff = RNG.random((i + 4, j + 4, k)), RNG.random((i, j, k))
    by_numpy, counted = seen(climate.hdiff, {"I": i, "J": j, "K": k}, field=field, coeff=coeff)
    assert counted == by_numpy


@pytest.mark.parametrize(
    ("fn", "sizes", "values"),
    [
        (
            linalg.softmax,
            {"batch": 2, "heads": 3, "queries": 4, "keys": 5},
            {"logits": RNG.random((2, 3, 4, 5), np.float32)},
        ),
        (
            linalg.matmul,
            {"m": 3, "k": 4, "n": 5},
            {"a": RNG.random((3, 4)), "b": RNG.random((4, 5))},
        ),
        (
            quantum.apply_gate,
            {"n": 16, "target": 2},
            {"state": RNG.random(16) + 0j, "gate": RNG.random((2, 2)) + 0j, "target": 2},
        ),
        (
            astro.nbody,
            {"n": 5, "steps": 2},
            {
                "position": RNG.random((5, 3)),
                "velocity": RNG.random((5, 3)),
                "mass": RNG.random(5),
                "steps": 2,
                "dt": 0.1,
                "softening": 0.1,
            },
        ),
        (
            climate.advect_1d,
            {"n": 9, "steps": 3},
            {"q": RNG.random(9), "courant": 0.5, "steps": 3},
        ),
    ],
)
def test_references_of_the_library_are_counted_as_numpy_does_them(fn, sizes, values):
    by_numpy, counted = seen(fn, sizes, **values)
    assert counted == by_numpy


def test_what_does_not_depend_on_an_index_is_not_done_again_for_it():
    sizes = {"views": 7, "detectors": 5, "size": 6}
    counted = operations_of(medical.backproject.reference, sizes)
    assert counted is not None
    assert counted.functions == 2 * 7  # a sine and a cosine a view, not a pixel


# --- Small ones, by hand ------------------------------------------------------------------------


@outpace.optimize(workloads={"only": {"n": 8}})
def triangle(a: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n n"]:
    """Row i has i entries."""
    out = np.zeros_like(a)
    for i in range(a.shape[0]):
        for j in range(i):
            out[i, j] = a[i, j] * 2.0 + 1.0
    return out


@outpace.optimize(workloads={"only": {"n": 8}})
def halved(a: Float32[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Works in two precisions."""
    return (a * a).astype(np.float64) / 3.0


@outpace.optimize(workloads={"only": {"n": 8}})
def quotients(a: Complex128[np.ndarray, "n"]) -> Complex128[np.ndarray, "n"]:
    """Of complex numbers."""
    return a / (a + 1.0)


@outpace.optimize(workloads={"only": {"n": 8}})
def until_small(a: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Its rounds depend on the data."""
    out = a.copy()
    while np.max(out) > 1.0:
        out = out * 0.5
    return out


@outpace.optimize(workloads={"only": {"n": 8}})
def branches(a: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """What is done depends on the data."""
    out = np.empty_like(a)
    for i in range(a.size):
        if a[i] > 0.0:
            out[i] = a[i] * 2.0 + 1.0
        else:
            out[i] = a[i]
    return out


@outpace.optimize(workloads={"only": {"n": 8}})
def even_branches(a: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Both ways do as much."""
    out = np.empty_like(a)
    for i in range(a.size):
        if a[i] > 0.0:
            out[i] = a[i] * 2.0
        else:
            out[i] = a[i] + 1.0
    return out


@outpace.optimize(workloads={"only": {"n": 8}})
def first_differs(a: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n n"]:
    """A triangle, then a loop with the same index in which one round does less."""
    out = np.zeros_like(a)
    for i in range(a.shape[0]):
        for j in range(i):
            out[i, j] = a[i, j] * 2.0
    for i in range(a.shape[0]):
        if i == 0:
            out[i, 0] = a[i, 0]
        else:
            out[i, 0] = a[i, 0] * 3.0 + out[i - 1, 0]
    return out


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (triangle, Operations({"float64": 2 * 28}, 0)),
        (halved, Operations({"float32": 8, "float64": 8}, 0)),
        (quotients, Operations({"float64": (2 + 11) * 8}, 0)),
        (even_branches, Operations({"float64": 8}, 0)),
        (first_differs, Operations({"float64": 28 + 2 * 7}, 0)),
        (until_small, None),
        (branches, None),
        (linalg.fft2, None),
    ],
)
def test_small_references(fn, expected):
    sizes = {"y": 8, "x": 8} if fn is linalg.fft2 else {"n": 8}
    assert operations_of(fn.reference, sizes) == expected


def test_rounds_that_differ_are_looked_at_only_so_often(monkeypatch):
    monkeypatch.setattr(operations, "MOST_ROUNDS", 7)
    assert operations_of(triangle.reference, {"n": 7}) is not None
    assert operations_of(triangle.reference, {"n": 8}) is None


def test_branches_that_do_as_much_need_no_look_at_each_round():
    assert operations_of(even_branches.reference, {"n": 10**9}).total == 10**9


def test_nothing_is_done_on_empty_arrays():
    counted = operations_of(aerospace.jacobi_2d.reference, {"y": 1, "x": 9, "steps": 3})
    assert counted is not None
    assert counted.total == 0
