"""Taking arrays of other libraries for NumPy arrays, through DLPack, without a copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from outpace.codegen.unwrapping import how_to_unwrap
from outpace.errors import ContractError
from outpace.model import Argument, Contract

_NATIVE = frozenset({np.ndarray, bool, int, float, complex, np.float64, np.int64})
"""Types that need no second look."""
_CPU = 1  # kDLCPU in dlpack.h


def adopted(argument: Argument, value: Any) -> Any:
    """The value of an argument, as a NumPy array where it is one of another library on the CPU.

    Anything else is given back as it is: what it means is for the reference to say. So is an array
    on a GPU.

    Raises:
        ContractError: It is an xarray or pandas object, which holds an array but is none, or it
            does not let its memory be used.
    """
    if not argument.is_array or isinstance(value, np.ndarray | int | float | complex):
        return value
    on_cpu = _is_on_cpu(value)
    hint = None if on_cpu else how_to_unwrap(argument.name, value)
    if hint is not None:
        raise ContractError(hint)
    return _shared(argument, value) if on_cpu else value


def adopting(contract: Contract, fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls another with its positional arguments adopted."""
    arguments = contract.arguments

    def call(*args: Any) -> Any:
        for value in args:
            if type(value) not in _NATIVE:
                taken = [adopted(a, v) for a, v in zip(arguments, args, strict=False)]
                return fn(*taken, *args[len(taken) :])
        return fn(*args)

    return call


def _is_on_cpu(value: Any) -> bool:
    device = getattr(value, "__dlpack_device__", None)
    return device is not None and device()[0] == _CPU


def _shared(argument: Argument, value: Any) -> Any:
    kind = f"{type(value).__module__.partition('.')[0]} {type(value).__name__}"
    try:
        array = np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ContractError(
            f"{argument.name} is a {kind} whose memory cannot be used: {error}; pass a plain array"
        ) from error
    if argument.mutated and not array.flags.writeable:
        raise ContractError(
            f"{argument.name} is a {kind} that is written in place but gives its memory for "
            "reading only; pass a NumPy array of the same memory"
        )
    return array
