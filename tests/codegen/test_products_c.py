"""Products of large matrices in C: by NumPy's own BLAS, or by loops where there is none."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Complex128, Float32, Float64

from outpace.codegen.drafters import DraftingTask, drafter_named
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.kernels.languages.c import C
from outpace.model import Draft, Target, Variant

SIZES = {"w": {"n": 40, "m": 30, "k": 20}}
without_compiler = pytest.mark.skipif(
    C.unavailable() is not None, reason=f"no C compiler: {C.unavailable()}"
)


def layers(
    x: Float64[np.ndarray, "n m"],
    product_float64: Float64[np.ndarray, "m k"],
    search: Float64[np.ndarray, "k"],
    v: Float64[np.ndarray, "n k"],
) -> Float64[np.ndarray, "k k"]:
    """Two products, one of them of a transpose; names that the helpers in C have."""
    h = np.maximum(x @ product_float64 + search, 0.0)
    g = h / (1.0 + np.abs(h).sum(axis=1, keepdims=True))
    return g.T @ v + 1.0


def turned(
    x: Float32[np.ndarray, "n m"], y: Float32[np.ndarray, "k m"]
) -> Float32[np.ndarray, "n k"]:
    """The other factor is turned."""
    return np.dot(x, y.T) * np.float32(2.0)


def rotated(
    x: Complex128[np.ndarray, "n m"], y: Complex128[np.ndarray, "m k"]
) -> Complex128[np.ndarray, "n k"]:
    """Is left to loops."""
    return x @ y


def library_drafts(function, *, reproducible: bool = False) -> tuple[Reference, list[Draft]]:
    reference = Reference(function, ReferenceOptions(SIZES, reproducible=reproducible))
    task = DraftingTask(reference, Target("x86_64", "some cpu", 2), ("c",))
    drafts = drafter_named("builtin").propose(task).drafts
    return reference, [d for d in drafts if "library" in d.provenance.idea]


def has_known_blas() -> bool:
    """Whether the BLAS in this process is one that the drafts look for."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    paths = {line.split()[-1] for line in maps if "blas" in line.rpartition("/")[2]}
    names = ("scipy_cblas_dgemm64_", "cblas_dgemm64_")
    return any(hasattr(ctypes.CDLL(path), name) for path in paths for name in names)


@without_compiler
@pytest.mark.parametrize("blas", [True, False])
@pytest.mark.parametrize("function", [layers, turned])
def test_products_are_those_of_numpy(function, blas, tmp_path):
    reference, (draft,) = library_drafts(function)
    if blas and not has_known_blas():
        pytest.skip("NumPy has brought no BLAS of its own into the process")
    loops_begin = "c[i * n + j] = 0;"
    assert loops_begin in draft.source
    if blas:  # products of no elements are left to the loops, and others are not
        source = draft.source.replace(loops_begin, "c[i * n + j] = k > 0 ? NAN : 0;")
    else:
        source = draft.source.replace("cblas_", "absent_")
    path = tmp_path / "draft.c"
    bound = Draft("c", source, (), (), draft.flags)
    choices = "".join(f"#define {p.name} {p.values[0]}\n" for p in draft.parameters)
    path.write_text(C.bind(Variant(bound)).replace(source, choices + source))
    C.build(path, reference.contract, tmp_path / "cache")
    kernel = C.load(path, reference.contract, tmp_path / "cache")
    rng = np.random.default_rng(3)
    for n, m, k in ((40, 30, 20), (1, 7, 1), (3, 0, 5), (0, 2, 3)):
        extents = {"n": n, "m": m, "k": k}
        given = [
            rng.standard_normal([extents[d] for d in a.dims]).astype(a.dtype)
            for a in reference.contract.arguments
        ]
        want = function(*given)
        out = np.full_like(want, np.nan)
        kernel(*given, out)
        np.testing.assert_allclose(out, want, rtol=1e-4 if function is turned else 1e-11, atol=1e-4)


def test_products_that_are_not_left_to_blas():
    assert library_drafts(rotated)[1] == []
    assert library_drafts(layers, reproducible=True)[1] == []
