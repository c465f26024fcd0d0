"""Fitting what a caller passes to what a kernel takes, or saying why it does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from outpace.codegen.abi import output_shapes
from outpace.errors import ContractError
from outpace.model import Argument, Contract, Output

Array = npt.NDArray[Any]

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "b": (bool,),
    "i": (int,),
    "u": (int,),
    "f": (float, int),
    "c": (complex, float, int),
}


class Unfit(Exception):  # noqa: N818  (an outcome of serving, not a fault)
    """A kernel cannot take this call, so the reference does; the text says why."""


def fit_arguments(contract: Contract, values: Mapping[str, Any]) -> list[Any]:
    """Arguments as kernels take them: plain writeable arrays and Python numbers, memory shared.

    Raises:
        Unfit: An argument is not what the contract says.
    """
    return [
        _fit_array(a, values[a.name]) if a.is_array else fit_scalar(a, values[a.name])
        for a in contract.arguments
    ]


def _fit_array(argument: Argument, value: Any) -> Array:
    name, dtype = argument.name, np.dtype(argument.dtype)
    if type(value) is not np.ndarray:
        raise Unfit(f"{name} is a {type(value).__name__}, not a plain NumPy array")
    if value.dtype != dtype:
        raise Unfit(f"{name} has dtype {value.dtype}, the annotation says {argument.dtype}")
    if not value.flags.c_contiguous:
        raise Unfit(f"{name} is not C-contiguous")
    if not value.flags.aligned:
        raise Unfit(f"{name} is not aligned")
    if not value.flags.writeable:
        if argument.mutated:
            raise Unfit(f"{name} is read-only, and would be written")
        value = np.asarray(_WriteableView(value))
    canonical: Array = value if value.dtype is dtype else value.view(dtype)
    return canonical


class _WriteableView:
    """The memory of a read-only array as a writeable one.

    Numba compiles other code for read-only arrays. The judge ran the kernel on inputs that it could
    not write to, so the memory stays as it is.
    """

    def __init__(self, array: Array) -> None:
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}
        self.owner = array


def is_narrow(dtype: str) -> bool:
    """Whether a scalar of this dtype is a NumPy scalar rather than a Python number."""
    return dtype not in ("bool", "int64", "float64", "complex128")


def fit_scalar(argument: Argument, value: Any) -> Any:
    """A scalar as kernels take it; raises `Unfit` where it is not what the contract says."""
    dtype = np.dtype(argument.dtype)
    if isinstance(value, np.generic) and value.dtype == dtype:
        value = value.item()
    # bool is an int to Python, but not to a signature that says int
    expected = _PYTHON_TYPES[dtype.kind]
    if type(value) not in expected:
        raise Unfit(
            f"{argument.name} is a {type(value).__name__}, the annotation says {argument.dtype}"
        )
    try:
        converted = expected[0](value)
        return dtype.type(converted) if is_narrow(argument.dtype) else converted
    except OverflowError as error:
        raise Unfit(f"{argument.name}={value} does not fit {argument.dtype}") from error


def refuse_overlap(contract: Contract, fitted: Sequence[Any], outputs: Sequence[Array]) -> None:
    """Raise `Unfit` if memory that is written belongs to another array of the call too."""
    arrays = [
        (a.name, a.mutated, value)
        for a, value in zip(contract.arguments, fitted, strict=True)
        if a.is_array
    ]
    arrays += [
        (f"out ({o.name})", True, value)
        for o, value in zip(contract.outputs, outputs, strict=False)
    ]
    for (first, written, a), (second, also, b) in combinations(arrays, 2):
        if (written or also) and np.may_share_memory(a, b):
            raise Unfit(f"{first} and {second} overlap in memory")


def check_out(contract: Contract, out: Any, is_tuple: bool) -> list[Array]:
    """The arrays of `out=`, one per returned output.

    Raises:
        ContractError: There are too many or too few, or one cannot take its output.
    """
    if not contract.outputs:
        raise ContractError("out= was given, but the function returns None; it writes in place")
    if is_tuple and not (isinstance(out, tuple) and len(out) == len(contract.outputs)):
        raise ContractError(f"out= must be a tuple of {len(contract.outputs)} arrays")
    arrays = list(out) if is_tuple else [out]
    for output, array in zip(contract.outputs, arrays, strict=True):
        _check_output_array(output, array)
    return arrays


def check_out_shapes(contract: Contract, arrays: Sequence[Array], sizes: Mapping[str, int]) -> None:
    """Raise ContractError if an array of `out=` has not the shape of its output."""
    for output, array, shape in zip(
        contract.outputs, arrays, output_shapes(contract, sizes), strict=True
    ):
        if array.shape != shape:
            raise ContractError(
                f"out= ({output.name}) has shape {array.shape}, the result has {shape}"
            )


def _check_output_array(output: Output, array: Any) -> None:
    if type(array) is not np.ndarray:
        raise ContractError(f"out= ({output.name}) is a {type(array).__name__}; give a NumPy array")
    if array.dtype != np.dtype(output.dtype):
        raise ContractError(
            f"out= ({output.name}) has dtype {array.dtype}, the result has {output.dtype}"
        )
    if not array.flags.carray:
        raise ContractError(
            f"out= ({output.name}) must be C-contiguous, aligned and writeable; "
            "give an array as np.empty makes it"
        )
