"""The calling convention: destination passing, the same for every language.

The harness allocates and poisons outputs. A kernel takes the inputs in signature order, mutated
ones in place, then the returned outputs left to right, and returns nothing. A scalar output is an
array of shape (1,).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np

from outpace.codec import Value
from outpace.codegen.dims import bind_shapes, shape_of
from outpace.errors import ContractError
from outpace.model import Argument, Contract


class Role(StrEnum):
    """What a kernel does with a parameter."""

    SCALAR = "scalar"
    INPUT = "input"
    INOUT = "inout"
    OUTPUT = "output"


class Slot(Value, frozen=True):
    """One parameter of a kernel."""

    name: str
    dtype: str
    dims: tuple[str, ...]
    role: Role


def slots(contract: Contract) -> tuple[Slot, ...]:
    """The parameters of a kernel in calling order."""
    found = []
    for a in contract.arguments:
        if a.dims is None:
            found.append(Slot(a.name, a.dtype, (), Role.SCALAR))
        else:
            found.append(Slot(a.name, a.dtype, a.dims, Role.INOUT if a.mutated else Role.INPUT))
    found += [Slot(o.name, o.dtype, o.dims, Role.OUTPUT) for o in contract.outputs]
    return tuple(found)


def output_shapes(contract: Contract, sizes: Mapping[str, int]) -> list[tuple[int, ...]]:
    """Shapes of the returned outputs at these sizes."""
    return [shape_of(o.dims, sizes) for o in contract.outputs]


def bind_sizes(contract: Contract, values: Mapping[str, Any]) -> dict[str, int]:
    """Sizes (dims and int arguments) of actual arguments.

    Raises:
        ContractError: An array has another dtype or shape than annotated.
    """
    known: dict[str, int] = {}
    arrays: list[tuple[str, Sequence[str], tuple[int, ...]]] = []
    for argument in contract.arguments:
        value = values[argument.name]
        if argument.dims is None:
            if np.dtype(argument.dtype).kind in "iu":
                known[argument.name] = _integer(argument, value)
            continue
        _check_array(argument, value)
        arrays.append((argument.name, argument.dims, tuple(value.shape)))
    return bind_shapes(arrays, known)


def _integer(argument: Argument, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ContractError(f"{argument.name}={value!r} is not an integer")
    return int(value)


def _check_array(argument: Argument, value: Any) -> None:
    if not isinstance(value, np.ndarray):
        raise ContractError(f"{argument.name} is a {type(value).__name__}, not a NumPy array")
    if value.dtype != np.dtype(argument.dtype):  # a name would not tell foreign byte order
        raise ContractError(
            f"{argument.name} has dtype {value.dtype!r}, the annotation says {argument.dtype}"
        )


def as_results(
    contract: Contract, returned: Any, sizes: Mapping[str, int]
) -> list[np.ndarray[Any, Any]]:
    """What a reference returned, as the list of output arrays of the calling convention.

    Raises:
        ContractError: Number, dtype or shape differ from the annotation.
    """
    if not contract.outputs:
        parts: tuple[Any, ...] = ()
    elif len(contract.outputs) == 1 and returned is None:
        raise ContractError("the reference returned None, annotated is a value")
    elif len(contract.outputs) > 1 and isinstance(returned, tuple | list):
        parts = tuple(returned)
    else:
        parts = returned if isinstance(returned, tuple) else (returned,)
    if len(parts) != len(contract.outputs):
        raise ContractError(
            f"the reference returned {len(parts)} values, annotated are {len(contract.outputs)}"
        )
    arrays = []
    for output, part, shape in zip(
        contract.outputs, parts, output_shapes(contract, sizes), strict=True
    ):
        array = np.asarray(part)
        if output.scalar:
            array = array.reshape(1) if array.size == 1 else array
            if np.can_cast(array.dtype, output.dtype, "same_kind"):
                array = array.astype(output.dtype)
        if array.shape != shape:
            raise ContractError(
                f"the reference returned shape {array.shape} for {output.name}, "
                f"annotated is {' '.join(output.dims)!r} = {shape} at {dict(sizes)}"
            )
        if array.dtype != np.dtype(output.dtype):
            raise ContractError(
                f"the reference returned {array.dtype} for {output.name}, "
                f"annotated is {output.dtype}"
            )
        arrays.append(array)
    return arrays
