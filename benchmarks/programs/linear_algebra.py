"""Products of matrices and vectors."""

import numpy as np
from jaxtyping import Float64

import outpace
from outpace import Uniform

_UNIT = Uniform(0, 1)


@outpace.optimize(
    workloads={
        "small": {"ni": 160, "nj": 180, "nk": 200},
        "large": {"ni": 900, "nj": 1000, "nk": 1100},
    },
    inputs=dict.fromkeys(("A", "B", "C", "alpha", "beta"), _UNIT),
    mutates=("C",),
)
def gemm(
    alpha: float,
    beta: float,
    C: Float64[np.ndarray, "ni nj"],
    A: Float64[np.ndarray, "ni nk"],
    B: Float64[np.ndarray, "nk nj"],
) -> None:
    """C = alpha A B + beta C."""
    C[:] = alpha * A @ B + beta * C


@outpace.optimize(
    workloads={"small": {"n": 400}, "large": {"n": 2500}},
    inputs=dict.fromkeys(("alpha", "beta", "A", "u1", "v1", "u2", "v2", "w", "x", "y", "z"), _UNIT),
    mutates=("A", "w", "x"),
)
def gemver(
    alpha: float,
    beta: float,
    A: Float64[np.ndarray, "n n"],
    u1: Float64[np.ndarray, "n"],
    v1: Float64[np.ndarray, "n"],
    u2: Float64[np.ndarray, "n"],
    v2: Float64[np.ndarray, "n"],
    w: Float64[np.ndarray, "n"],
    x: Float64[np.ndarray, "n"],
    y: Float64[np.ndarray, "n"],
    z: Float64[np.ndarray, "n"],
) -> None:
    """A += u1 v1' + u2 v2'; x += beta A' y + z; w += alpha A x."""
    A += np.outer(u1, v1) + np.outer(u2, v2)
    x += beta * y @ A + z
    w += alpha * A @ x


@outpace.optimize(
    workloads={"small": {"n": 600}, "large": {"n": 3000}},
    inputs=dict.fromkeys(("alpha", "beta", "A", "B", "x"), _UNIT),
)
def gesummv(
    alpha: float,
    beta: float,
    A: Float64[np.ndarray, "n n"],
    B: Float64[np.ndarray, "n n"],
    x: Float64[np.ndarray, "n"],
) -> Float64[np.ndarray, "n"]:
    """Return alpha A x + beta B x."""
    return alpha * A @ x + beta * B @ x


@outpace.optimize(
    workloads={"small": {"m": 700, "n": 800}, "large": {"m": 4000, "n": 4500}},
    inputs={"A": _UNIT, "x": _UNIT},
)
def atax(A: Float64[np.ndarray, "m n"], x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Return A' (A x)."""
    return (A @ x) @ A


@outpace.optimize(
    workloads={"small": {"m": 700, "n": 800}, "large": {"m": 4000, "n": 4500}},
    inputs={"A": _UNIT, "p": _UNIT, "r": _UNIT},
)
def bicg(
    A: Float64[np.ndarray, "n m"], p: Float64[np.ndarray, "m"], r: Float64[np.ndarray, "n"]
) -> tuple[Float64[np.ndarray, "m"], Float64[np.ndarray, "n"]]:
    """Return A' r and A p."""
    return r @ A, A @ p


@outpace.optimize(
    workloads={"small": {"n": 800}, "large": {"n": 4500}},
    inputs=dict.fromkeys(("x1", "x2", "y_1", "y_2", "A"), _UNIT),
    mutates=("x1", "x2"),
)
def mvt(
    x1: Float64[np.ndarray, "n"],
    x2: Float64[np.ndarray, "n"],
    y_1: Float64[np.ndarray, "n"],
    y_2: Float64[np.ndarray, "n"],
    A: Float64[np.ndarray, "n n"],
) -> None:
    """x1 += A y1; x2 += A' y2."""
    x1 += A @ y_1
    x2 += y_2 @ A


@outpace.optimize(
    workloads={
        "small": {"ni": 100, "nj": 110, "nk": 120, "nl": 130},
        "large": {"ni": 600, "nj": 700, "nk": 800, "nl": 900},
    },
    inputs=dict.fromkeys(("alpha", "beta", "A", "B", "C", "D"), _UNIT),
    mutates=("D",),
)
def k2mm(
    alpha: float,
    beta: float,
    A: Float64[np.ndarray, "ni nk"],
    B: Float64[np.ndarray, "nk nj"],
    C: Float64[np.ndarray, "nj nl"],
    D: Float64[np.ndarray, "ni nl"],
) -> None:
    """D = alpha A B C + beta D."""
    D[:] = alpha * A @ B @ C + beta * D


@outpace.optimize(
    workloads={
        "small": {"ni": 100, "nj": 110, "nk": 120, "nl": 130, "nm": 90},
        "large": {"ni": 600, "nj": 650, "nk": 700, "nl": 750, "nm": 800},
    },
    inputs=dict.fromkeys("ABCD", _UNIT),
)
def k3mm(
    A: Float64[np.ndarray, "ni nk"],
    B: Float64[np.ndarray, "nk nj"],
    C: Float64[np.ndarray, "nj nm"],
    D: Float64[np.ndarray, "nm nl"],
) -> Float64[np.ndarray, "ni nl"]:
    """Return (A B) (C D)."""
    return A @ B @ (C @ D)


@outpace.optimize(
    workloads={"small": {"m": 25, "n": 35}, "large": {"m": 120, "n": 140}},
    inputs=dict.fromkeys(("alpha", "beta", "C", "A"), _UNIT),
    mutates=("C",),
)
def syrk(
    alpha: float,
    beta: float,
    C: Float64[np.ndarray, "n n"],
    A: Float64[np.ndarray, "n m"],
) -> None:
    """The lower triangle of C = alpha A A' + beta C."""
    for i in range(A.shape[0]):
        C[i, : i + 1] *= beta
        for k in range(A.shape[1]):
            C[i, : i + 1] += alpha * A[i, k] * A[: i + 1, k]


@outpace.optimize(
    workloads={"small": {"m": 20, "n": 30}, "large": {"m": 80, "n": 100}},
    inputs=dict.fromkeys(("alpha", "beta", "C", "A", "B"), _UNIT),
    mutates=("C",),
)
def syr2k(
    alpha: float,
    beta: float,
    C: Float64[np.ndarray, "n n"],
    A: Float64[np.ndarray, "n m"],
    B: Float64[np.ndarray, "n m"],
) -> None:
    """The lower triangle of C = alpha (A B' + B A') + beta C."""
    for i in range(A.shape[0]):
        C[i, : i + 1] *= beta
        for k in range(A.shape[1]):
            C[i, : i + 1] += A[: i + 1, k] * alpha * B[i, k] + B[: i + 1, k] * alpha * A[i, k]


@outpace.optimize(
    workloads={"small": {"m": 30, "n": 40}, "large": {"m": 150, "n": 180}},
    inputs=dict.fromkeys(("alpha", "A", "B"), _UNIT),
    mutates=("B",),
)
def trmm(alpha: float, A: Float64[np.ndarray, "m m"], B: Float64[np.ndarray, "m n"]) -> None:
    """B = alpha A' B with A unit lower triangular."""
    for i in range(B.shape[0]):
        for j in range(B.shape[1]):
            B[i, j] += np.dot(A[i + 1 :, i], B[i + 1 :, j])
    B *= alpha


@outpace.optimize(
    workloads={"small": {"m": 24, "n": 30}, "large": {"m": 120, "n": 140}},
    inputs=dict.fromkeys(("alpha", "beta", "C", "A", "B"), _UNIT),
    mutates=("C",),
)
def symm(
    alpha: float,
    beta: float,
    C: Float64[np.ndarray, "m n"],
    A: Float64[np.ndarray, "m m"],
    B: Float64[np.ndarray, "m n"],
) -> None:
    """C = alpha A B + beta C with A symmetric, its lower triangle given."""
    temp2 = np.empty((C.shape[1],), dtype=C.dtype)
    C *= beta
    for i in range(C.shape[0]):
        for j in range(C.shape[1]):
            C[:i, j] += alpha * B[i, j] * A[i, :i]
            temp2[j] = B[:i, j] @ A[i, :i]
        C[i, :] += alpha * B[i, :] * A[i, i] + alpha * temp2


@outpace.optimize(
    workloads={
        "small": {"nr": 30, "nq": 35, "np_": 40},
        "large": {"nr": 100, "nq": 120, "np_": 140},
    },
    inputs={"A": _UNIT, "C4": _UNIT},
    mutates=("A",),
)
def doitgen(A: Float64[np.ndarray, "nr nq np_"], C4: Float64[np.ndarray, "np_ np_"]) -> None:
    """Every row of A times C4, in place."""
    nr, nq, width = A.shape
    A[:] = np.reshape(np.reshape(A, (nr, nq, 1, width)) @ C4, (nr, nq, width))
