"""Moving the blocks of an array between one rank and all; what ranks must agree on first."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from outpace.codegen.dims import shape_of
from outpace.codegen.mpi.layout import Layout, Part
from outpace.errors import ContractError

Array = npt.NDArray[Any]
Comm = Any
"""A communicator of mpi4py, or the simulated one."""


def agree(comm: Comm, problem: str | None, said: str = "") -> None:
    """Find out whether every rank can go on with the same; all ranks call it.

    Args:
        comm: Of the ranks.
        problem: What is wrong on this rank, or None.
        said: What every rank must say alike.

    Raises:
        ContractError: On every rank, with the same text: something is wrong on one of them.
    """
    heard = comm.allgather((problem, said))
    for rank, (found, _) in enumerate(heard):
        if found is not None:
            raise ContractError(f"rank {rank}: {found}")
    for rank, (_, other) in enumerate(heard):
        if other != heard[0][1]:
            raise ContractError(
                f"rank 0 has {heard[0][1]}, rank {rank} has {other}; all ranks must pass the same"
            )


def deal(comm: Comm, layout: Layout, part: Part, whole: Array | None, root: int) -> Array:
    """The own block, C-contiguous and new, of an array that the root alone holds.

    Args:
        comm: Of the ranks.
        layout: Who owns what; it knows the sizes of this array.
        part: What the array is.
        whole: The array on the root; ignored elsewhere.
        root: The rank that holds it.
    """
    rank = comm.Get_rank()
    own = np.empty(layout.shape(part, rank), part.dtype)
    if rank == root:
        assert whole is not None
        own[...] = whole[layout.own(part, rank)]
    if not layout.is_distributed(part):
        comm.Bcast(own, root=root)
    elif rank != root:
        comm.Recv(own, source=root)
    else:
        assert whole is not None
        for other in range(comm.Get_size()):
            if other != root:
                comm.Send(np.ascontiguousarray(whole[layout.own(part, other)]), dest=other)
    return own


def collect(comm: Comm, layout: Layout, part: Part, own: Array, root: int) -> Array | None:
    """The whole array on the root, from the own blocks of all ranks; None elsewhere.

    One block at a time is on its way, so the root needs little beside the array. Of what every
    rank holds the root gives its own.
    """
    rank = comm.Get_rank()
    if not layout.is_distributed(part):
        return own.copy() if rank == root else None
    if rank != root:
        comm.Send(own, dest=root)
        return None
    whole = np.empty(shape_of(part.dims or (), layout.global_sizes), part.dtype)
    for other in range(comm.Get_size()):
        block = own
        if other != root:
            block = np.empty(layout.shape(part, other), part.dtype)
            comm.Recv(block, source=other)
        whole[layout.own(part, other)] = block
    return whole


def collect_everywhere(comm: Comm, layout: Layout, part: Part, own: Array) -> Array:
    """The whole array on every rank."""
    whole = collect(comm, layout, part, own, 0)
    if whole is None:
        whole = np.empty(shape_of(part.dims or (), layout.global_sizes), part.dtype)
    comm.Bcast(whole, root=0)
    return whole
