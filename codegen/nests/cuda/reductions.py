"""Reductions on a GPU: how two values are combined, and how the threads of a block are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outpace.codegen.nests.c.reductions import start_of
from outpace.codegen.nests.cuda.expressions import DeviceFunctions, cuda_type
from outpace.codegen.nests.cuda.parameters import ACCUMULATOR
from outpace.codegen.nests.ir import Constant, Reduce, Reduction

_COMBINING = {
    Reduction.SUM: ("Sum", "a + b"),
    Reduction.PROD: ("Product", "a * b"),
    Reduction.MAX: ("Largest", "a >= b || a != a ? a : b"),
    Reduction.MIN: ("Smallest", "a <= b || a != a ? a : b"),
    Reduction.ANY: ("Any", "a || b"),
    Reduction.ALL: ("All", "a && b"),
}
_STRUCTURE = """\
struct NAME {
    template <typename T> static __device__ T of(T a, T b) { return TEXT; }
};"""
_SHUFFLED = """\
template <typename T> static __device__ T shuffled(T value, int step)
{
    return (T)__shfl_xor_sync(0xffffffffu, value, step);
}"""
_SHUFFLED_COMPLEX = """\
static __device__ inline C shuffled(C value, int step)
{
    return C{__shfl_xor_sync(0xffffffffu, value.re, step),
             __shfl_xor_sync(0xffffffffu, value.im, step)};
}"""
_ACROSS = """\
template <typename How, typename T> static __device__ T across_block(T value)
{
    __shared__ T of_warps[32];
    for (int step = 16; step > 0; step /= 2)
        value = How::of(value, shuffled(value, step));
    if (blockDim.x == 32)
        return value;
    __syncthreads();
    if (threadIdx.x % 32 == 0)
        of_warps[threadIdx.x / 32] = value;
    __syncthreads();
    value = of_warps[0];
    for (int warp = 1; warp < blockDim.x / 32; warp++)
        value = How::of(value, of_warps[warp]);
    return value;
}"""
_UNPROMOTED = ("float", "double", "complex64", "complex128")
"""Types that arithmetic does not change."""
_WRAPPING = {"int32": "uint32_t", "int64": "uint64_t"}


@dataclass(frozen=True)
class Accumulator:
    """A variable that a reduction is kept in.

    Attributes:
        name: Of the variable.
        kind: Its type.
        start: What it begins with.
        reduce: The reduction.
        how: The structure that combines two values.
    """

    name: str
    kind: str
    start: Constant
    reduce: Reduce
    how: str

    def step(self, value: str) -> str:
        """One step of the reduction."""
        return f"{self.name} = {self.how}::of({self.name}, {self._converted(value)});"

    def end(self, value: str | None = None) -> tuple[list[str], str]:
        """What gives the result its own type, and the name of the result.

        Args:
            value: The result, if that is not the variable itself.
        """
        kind = cuda_type(self.reduce.dtype)
        if value is None and self.kind == kind:
            return [], self.name
        result = value or self.name
        converted = result if self.kind == kind else f"({kind}){result}"
        return [f"const {kind} {self.name}_all = {converted};"], f"{self.name}_all"

    def _converted(self, value: str) -> str:
        same = self.kind == cuda_type(self.reduce.dtype) and self.kind in _UNPROMOTED
        return value if same else f"({self.kind})({value})"


def accumulator(
    name: str, reduce: Reduce, functions: DeviceFunctions, choices: set[str]
) -> Accumulator:
    """The variable for a reduction; adds what it needs to the functions and macros.

    Raises:
        NotLifted: There is no value to begin with.
    """
    kind = cuda_type(reduce.dtype)
    if reduce.kind is Reduction.SUM and reduce.dtype == "float32":
        choices.add(ACCUMULATOR)
        kind = ACCUMULATOR
    elif reduce.kind in (Reduction.SUM, Reduction.PROD):
        kind = _WRAPPING.get(reduce.dtype, kind)  # sums of integers wrap around
    how, text = _COMBINING[reduce.kind]
    functions.add(how, _STRUCTURE.replace("NAME", how).replace("TEXT", text))
    return Accumulator(name, kind, start_of(reduce.kind, reduce.dtype), reduce, how)


def across_block(value: Accumulator, functions: DeviceFunctions) -> str:
    """What all threads of a block found together, the same in each of them."""
    dtype = value.reduce.dtype
    if dtype.startswith("complex"):
        functions.add(f"shuffled_{dtype}", _SHUFFLED_COMPLEX.replace("C", dtype))
    functions.add("shuffled", _SHUFFLED)
    functions.add("~across_block", _ACROSS)
    return f"across_block<{value.how}>({value.name})"


def is_inexact(reduce: Reduce) -> bool:
    """Whether another order gives another result."""
    inexact = np.dtype(reduce.dtype).kind in "fc"
    return inexact and reduce.kind in (Reduction.SUM, Reduction.PROD)
