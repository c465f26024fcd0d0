"""References that select: what they skip shows only where the extreme stands."""

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

import outpace
from outpace import Integers


@outpace.optimize(workloads={"w": {"rows": 300, "n": 3000}}, where="n >= 1")
def row_max(x: Float64[np.ndarray, "rows n"]) -> Float64[np.ndarray, "rows"]:
    return np.max(x, axis=1) / 3


@outpace.optimize(workloads={"w": {"rows": 300, "n": 3000}}, where="n >= 1")
def first_largest(x: Float64[np.ndarray, "rows n"]) -> Int64[np.ndarray, "rows"]:
    return np.argmax(x, axis=1)


@outpace.optimize(
    workloads={"w": {"rows": 300, "n": 3000}},
    where="n >= 1",
    inputs={"x": Integers(0, 1000)},
)
def first_smallest(x: Int32[np.ndarray, "rows n"]) -> Int64[np.ndarray, "rows"]:
    return np.argmin(x, axis=1)


@outpace.optimize(workloads={"w": {"rows": 300, "n": 3000}})
def any_set(x: Bool[np.ndarray, "rows n"]) -> Bool[np.ndarray, "rows"]:
    return np.any(x, axis=1)


@outpace.optimize(workloads={"w": {"rows": 300, "n": 3000}})
def all_positive(x: Float64[np.ndarray, "rows n"]) -> Bool[np.ndarray, "rows"]:
    return np.all(x > 0, axis=1)
