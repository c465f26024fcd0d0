"""Combining what every rank reduced of its own block."""

from collections.abc import Callable
from typing import Any

import numpy as np

from outpace.codegen.mpi.templates.exchange import Array
from outpace.codegen.mpi.templates.geometry import Geometry

FOLDS: dict[str, Callable[[Array, Array], Array]] = {
    "sum": np.add,
    "prod": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
}


def neutral(operation: str, dtype: Any) -> Any:
    """What a rank without cells gives."""
    if operation in ("sum", "prod"):
        return dtype.type(operation == "prod")
    if dtype.kind == "f":
        return dtype.type(np.inf if operation == "min" else -np.inf)
    return np.iinfo(dtype).max if operation == "min" else np.iinfo(dtype).min


def combine(comm: Any, geometry: Geometry, partial: Array, operation: str, how: str) -> None:
    """Replace what this rank has by what all of them have together.

    Args:
        comm: The communicator.
        geometry: Tells which ranks have no cells.
        partial: Result of the own block; overwritten.
        operation: `sum`, `prod`, `min` or `max`.
        how: `allreduce`, `reduce` (to one rank, then a broadcast), or `gather`, which combines in
            the order of the ranks and hands on NaN.
    """
    from mpi4py import MPI  # noqa: PLC0415

    if geometry.is_whole:  # the first rank had all cells
        comm.Bcast(partial, root=0)
        return
    idle = [geometry.is_idle(rank) for rank in range(geometry.ranks)]
    if idle[comm.Get_rank()]:
        partial.fill(neutral(operation, partial.dtype))
    if how == "gather":
        every = np.empty((geometry.ranks, *partial.shape), partial.dtype)
        comm.Allgather(partial, every)
        parts = [part for part, none in zip(every, idle, strict=True) if not none]
        result = parts[0]
        for part in parts[1:]:
            result = FOLDS[operation](result, part)
        partial[...] = result
        return
    op = getattr(MPI, operation.upper())
    result = np.empty_like(partial)
    if how == "allreduce":
        comm.Allreduce(partial, result, op=op)
    else:
        comm.Reduce(partial, result, op=op, root=0)
        comm.Bcast(result, root=0)
    partial[...] = result
