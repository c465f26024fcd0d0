"""The references of the CUDA drafts beside this file."""

import numpy as np
from jaxtyping import Bool, Complex128, Float32, Float64, Int64, UInt8

import outpace


@outpace.optimize(
    workloads={"only": {"n": 4096}},
    inputs={"x": outpace.Uniform(-1, 1), "y": outpace.Uniform(-1, 1)},
)
def axpy(
    a: float, x: Float64[np.ndarray, "n"], y: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n"]:
    """a x + y."""
    return a * x + y


@outpace.optimize(
    workloads={"only": {"y": 64, "x": 64, "steps": 4}}, inputs={"u": outpace.Uniform(-1, 1)}
)
def jacobi(u: Float64[np.ndarray, "y x"], steps: int) -> Float64[np.ndarray, "y x"]:
    """Means of four neighbours, with fixed edges."""
    out = u.copy()
    for _ in range(steps):
        new = out.copy()
        new[1:-1, 1:-1] = 0.25 * (out[:-2, 1:-1] + out[2:, 1:-1] + out[1:-1, :-2] + out[1:-1, 2:])
        out = new
    return out


@outpace.optimize(workloads={"only": {"n": 4096}}, inputs={"x": outpace.Uniform(-1, 1)})
def total(x: Float64[np.ndarray, "n"]) -> float:
    """The sum of all elements."""
    return float(np.sum(x))


@outpace.optimize(workloads={"only": {"n": 64, "m": 48}}, inputs={"a": outpace.Uniform(-1, 1)})
def transposed(a: Float32[np.ndarray, "n m"]) -> Float32[np.ndarray, "m n"]:
    """A copy with its axes exchanged."""
    return a.T.copy()


@outpace.optimize(
    workloads={"only": {"n": 64, "k": 48, "m": 32}},
    inputs={"a": outpace.Uniform(-1, 1), "b": outpace.Uniform(-1, 1)},
)
def product(
    a: Float64[np.ndarray, "n k"], b: Float64[np.ndarray, "k m"]
) -> Float64[np.ndarray, "n m"]:
    """A matrix product."""
    return a @ b


@outpace.optimize(workloads={"only": {"n": 64, "m": 64}}, inputs={"x": outpace.Uniform(-4, 4)})
def softmax(x: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    """Along the rows."""
    if x.shape[1] == 0:
        return x.copy()
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@outpace.optimize(workloads={"only": {"n": 4096}})
def histogram(x: UInt8[np.ndarray, "n"]) -> Int64[np.ndarray, "256"]:
    """How often each value occurs."""
    return np.bincount(x, minlength=256).astype(np.int64)


@outpace.optimize(workloads={"only": {"n": 4096}}, inputs={"x": outpace.Uniform(-1, 1)})
def prefix(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Sums of all elements up to each."""
    return np.cumsum(x)


@outpace.optimize(
    workloads={"only": {"n": 1 << 20}},
    inputs={"x": outpace.Uniform(-1, 1), "y": outpace.Uniform(-1, 1)},
)
def axpy_of_many(
    a: float, x: Float64[np.ndarray, "n"], y: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n"]:
    """a x + y, for more elements than a drawn case may have."""
    return a * x + y


@outpace.optimize(workloads={"only": {"n": 4096}}, inputs={"x": outpace.Uniform(-1, 1)})
def smooth(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Means of three neighbours; the ends are as they were."""
    out = x.copy()
    out[1:-1] = (x[:-2] + x[1:-1] + x[2:]) / 3.0
    return out


@outpace.optimize(workloads={"only": {"n": 64, "m": 64}}, inputs={"a": outpace.Uniform(-1, 1)})
def row_sums(a: Float32[np.ndarray, "n m"]) -> Float32[np.ndarray, "n"]:
    """Sums along the rows."""
    return a.sum(axis=1)


@outpace.optimize(workloads={"only": {"n": 4096}})
def rotated(
    z: Complex128[np.ndarray, "n"], c: Complex128[np.ndarray, "n"]
) -> Complex128[np.ndarray, "n"]:
    """Products of complex numbers."""
    return z * c


@outpace.optimize(workloads={"only": {"n": 4096}}, inputs={"x": outpace.Uniform(-1, 1)})
def positive(x: Float64[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Which elements are above zero."""
    return x > 0


@outpace.optimize(workloads={"only": {"n": 4096}})
def bits(x: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """How many bits are set in each."""
    out = np.zeros(x.shape, np.int64)
    for k in range(64):
        out += (x >> k) & 1
    return out


@outpace.optimize(workloads={"only": {"n": 4096}}, inputs={"x": outpace.Uniform(-1, 1)})
def largest(x: Float64[np.ndarray, "n"]) -> float:
    """The maximum; of nothing it is 0."""
    return float(np.max(x)) if x.size else 0.0
