"""Kernels in C that call back to have rows of their arrays exchanged."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from outpace.codegen.mpi.templates.exchange import Array

EXCHANGING = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)


def with_exchange(exchange: Callable[[Array], None], rows: int, run: Callable[[Any], None]) -> None:
    """Run a kernel in C.

    Args:
        exchange: Fills in the rows of an array that other ranks own. What it raises is raised when
            the kernel is back, for which nothing more is exchanged.
        rows: Number of rows of every array that is exchanged.
        run: Calls the kernel with the function that it calls.
    """
    errors: list[BaseException] = []

    def exchanged(address: int, width: int) -> None:
        if errors:
            return
        try:
            memory = (ctypes.c_uint8 * (rows * width)).from_address(address)
            exchange(np.ctypeslib.as_array(memory).reshape(rows, width))
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    run(EXCHANGING(exchanged))
    if errors:
        raise errors[0]
