"""What comes later is refused with a sentence that names the dim and the line."""

import numpy as np
import pytest
from jaxtyping import Complex128, Float64, Int64

import outpace
from outpace.codegen.mpi.drafts import mpi_drafts
from outpace.codegen.mpi.local import numpy_kernel
from outpace.errors import ContractError
from outpace.split import Block, Pencil, Reduced

ROWS = {"y": Block(halo=1)}
CELLS = {"n": Block()}


def gauss_seidel(u: Float64[np.ndarray, "y x"], steps: int) -> Float64[np.ndarray, "y x"]:
    u = u.copy()
    for _ in range(steps):
        for i in range(1, u.shape[0] - 1):
            for j in range(1, u.shape[1] - 1):
                u[i, j] = 0.25 * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])
    return u


def upwards(u: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "y x"]:
    out = u.copy()
    for i in range(u.shape[0] - 2, -1, -1):
        out[i] = 0.5 * out[i] + 0.5 * out[i + 1]
    return out


def running(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    out = np.zeros_like(u)
    total = 0.0
    for i in range(u.shape[0]):
        total += u[i]
        out[i] = total
    return out


def summed_up(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.cumsum(u)


def counted(k: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "8"]:
    return np.bincount(k, minlength=8)[:8]


def sparse(
    value: Float64[np.ndarray, "n 3"], column: Int64[np.ndarray, "n 3"], x: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n"]:
    out = np.zeros_like(x)
    for i in range(x.shape[0]):
        for k in range(3):
            out[i] += value[i, k] * x[column[i, k]]
    return out


def gathered(
    u: Float64[np.ndarray, "n"], order: Int64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n"]:
    out = np.zeros_like(u)
    for i in range(u.shape[0]):
        source = order[i]
        out[i] = u[source]
    return out


def spectrum(u: Complex128[np.ndarray, "z y x"]) -> Complex128[np.ndarray, "z y x"]:
    return np.fft.fftn(u)


def reference_of(fn, **options):
    sizes = {"y": 8, "x": 8, "z": 8, "n": 8, "steps": 3}
    texts = [h.dim_str for h in fn.__annotations__.values() if hasattr(h, "dim_str")]
    used = {name for text in texts for name in text.split()} | {"steps"} & set(fn.__annotations__)
    workload = {name: size for name, size in sizes.items() if name in used}
    return outpace.reference(fn, workloads={"a": workload}, **options).reference


@pytest.mark.parametrize(
    ("fn", "options", "message"),
    [
        (
            gauss_seidel,
            {"split": ROWS, "steps": "steps"},
            r"a wavefront or a scan along y yet: the loop over i \(line 4 of gauss_seidel\)",
        ),
        (upwards, {"split": ROWS}, r"along y yet: the loop over i \(line 3 of upwards\)"),
        (running, {"split": CELLS}, r"along n yet: the loop over i \(line 4 of running\)"),
        (summed_up, {"split": CELLS}, "a scan along n yet; cumsum is used in line 2 of summed_up"),
        (
            counted,
            {"split": CELLS, "reduce": {"out": Reduced()}},
            "a histogram along n yet; bincount is used in line 2 of counted",
        ),
        (sparse, {"split": CELLS}, "sparse matrices, gathers or histograms along n yet"),
        (gathered, {"split": CELLS}, "sparse matrices, gathers or histograms along n yet"),
        (
            spectrum,
            {"split": dict.fromkeys("zy", Pencil())},
            "a transform of more than two axes along z yet; fftn is used in line 2 of spectrum",
        ),
        (spectrum, {"split": dict.fromkeys("zyx", Pencil())}, "a transform of three axes yet"),
    ],
)
def test_what_comes_later_is_refused(fn, options, message):
    reference = reference_of(fn, **options)
    with pytest.raises(ContractError, match=message):
        mpi_drafts(reference, numpy_kernel(reference), 2)


def levels(u: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "y x"]:
    out = u.copy()
    for j in range(1, u.shape[1]):
        out[:, j] = 0.5 * out[:, j - 1] + u[:, j]
    return out


def shifted(u: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "y x"]:
    out = u.copy()
    for i in range(u.shape[0] - 1):
        out[i] = 0.5 * out[i] + out[i + 1]
    return out


def every_other(u: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "y x"]:
    out = u.copy()
    for i in range(2, u.shape[0], 2):
        out[i] = out[i] + out[i - 1]
    return out


@pytest.mark.parametrize("fn", [levels, shifted, every_other])
def test_loops_that_need_no_earlier_row_are_drafted(fn):
    reference = reference_of(fn, split=ROWS)
    assert mpi_drafts(reference, numpy_kernel(reference), 2)
