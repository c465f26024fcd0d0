"""Collectives on buffers: each as one rank's part in an exchange, and its three forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from outpace.tuner.simcomm.buffers import IN_PLACE, Buffer, Elements, by_type, simple, split, vector
from outpace.tuner.simcomm.faults import CollectiveMismatch, InvalidCall
from outpace.tuner.simcomm.joining import Exchange, Joining, Pattern, forms
from outpace.tuner.simcomm.operations import OPERATIONS, Op
from outpace.tuner.simcomm.unsupported import refuse

SUM = OPERATIONS["SUM"]


def barrier(comm: Joining) -> Exchange:
    """Nothing but the meeting."""
    del comm
    return Exchange("Barrier", Pattern.TREE, None, lambda gives: gives, lambda _: None)


def bcast(comm: Joining, buf: Any, root: int = 0) -> Exchange:
    """The root's elements to all."""
    is_root = _is_root(comm, root)
    buffer = simple(buf, writable=not is_root)
    return Exchange(
        "Bcast",
        Pattern.TREE,
        buffer.pack() if is_root else None,
        lambda gives: [None if i == root else gives[root] for i in range(len(gives))],
        lambda result: None if is_root else comm.fill(buffer, result, root),
        {"root": root},
        reads=(buffer,) if is_root else (),
        writes=() if is_root else (buffer,),
    )


def gather(comm: Joining, sendbuf: Any, recvbuf: Any, root: int = 0) -> Exchange:
    """One block of every rank to the root."""
    return _gathered("Gather", split, comm, sendbuf, recvbuf, root)


def gatherv(comm: Joining, sendbuf: Any, recvbuf: Any, root: int = 0) -> Exchange:
    """The same with blocks of any length."""
    return _gathered("Gatherv", vector, comm, sendbuf, recvbuf, root)


def scatter(comm: Joining, sendbuf: Any, recvbuf: Any, root: int = 0) -> Exchange:
    """One block of the root to every rank."""
    return _scattered("Scatter", split, comm, sendbuf, recvbuf, root)


def scatterv(comm: Joining, sendbuf: Any, recvbuf: Any, root: int = 0) -> Exchange:
    """The same with blocks of any length."""
    return _scattered("Scatterv", vector, comm, sendbuf, recvbuf, root)


def allgather(comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    """One block of every rank to all."""
    return _allgathered("Allgather", split, comm, sendbuf, recvbuf)


def allgatherv(comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    """The same with blocks of any length."""
    return _allgathered("Allgatherv", vector, comm, sendbuf, recvbuf)


def alltoall(comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    """A block from every rank to every rank."""
    return _all_to_all("Alltoall", split, comm, sendbuf, recvbuf)


def alltoallv(comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    """The same with blocks of any length."""
    return _all_to_all("Alltoallv", vector, comm, sendbuf, recvbuf)


def alltoallw(comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    """The same with blocks of any type."""
    return _all_to_all("Alltoallw", by_type, comm, sendbuf, recvbuf)


def reduce(comm: Joining, sendbuf: Any, recvbuf: Any, op: Op = SUM, root: int = 0) -> Exchange:
    """All combined, element by element, at the root."""
    is_root = _is_root(comm, root)
    target = simple(recvbuf, writable=True) if is_root else None

    def combine(gives: list[Any]) -> Sequence[Any]:
        whole = _folded(comm, gives, op)
        return [whole if i == root else None for i in range(len(gives))]

    return _reduced("Reduce", comm, sendbuf, target, op, combine, {"root": root}, Pattern.TREE)


def allreduce(comm: Joining, sendbuf: Any, recvbuf: Any, op: Op = SUM) -> Exchange:
    """All combined, at every rank."""
    target = simple(recvbuf, writable=True)

    def combine(gives: list[Any]) -> Sequence[Any]:
        return [_folded(comm, gives, op)] * len(gives)

    return _reduced("Allreduce", comm, sendbuf, target, op, combine, {}, Pattern.TWICE)


def scan(comm: Joining, sendbuf: Any, recvbuf: Any, op: Op = SUM) -> Exchange:
    """The ranks up to this one combined."""
    target = simple(recvbuf, writable=True)

    def combine(gives: list[Any]) -> Sequence[Any]:
        _folded(comm, gives, op)
        return [op.fold(gives[: i + 1]) for i in range(len(gives))]

    return _reduced("Scan", comm, sendbuf, target, op, combine, {}, Pattern.TREE)


def exscan(comm: Joining, sendbuf: Any, recvbuf: Any, op: Op = SUM) -> Exchange:
    """The ranks before this one combined; nothing at the first."""
    target = simple(recvbuf, writable=True)

    def combine(gives: list[Any]) -> Sequence[Any]:
        _folded(comm, gives, op)
        return [None, *(op.fold(gives[:i]) for i in range(1, len(gives)))]

    return _reduced("Exscan", comm, sendbuf, target, op, combine, {}, Pattern.TREE)


def reduce_scatter_block(comm: Joining, sendbuf: Any, recvbuf: Any, op: Op = SUM) -> Exchange:
    """All combined, and one equal block of that to every rank."""
    target = simple(recvbuf, writable=True)
    own = target
    if sendbuf is IN_PLACE:
        own = split(recvbuf, comm.size, writable=True)[0]
    counts = [own.length] * comm.size
    return _reduce_scattered("Reduce_scatter_block", comm, sendbuf, target, own, counts, op)


def reduce_scatter(
    comm: Joining,
    sendbuf: Any,
    recvbuf: Any,
    recvcounts: Sequence[int] | None = None,
    op: Op = SUM,
) -> Exchange:
    """All combined, and a block of a given length to every rank."""
    target = simple(recvbuf, writable=True)
    if recvcounts is None:
        refuse("Reduce_scatter without recvcounts")
    counts = [int(count) for count in recvcounts]
    own = Buffer(target.memory, target.start, counts[comm.rank], target.datatype)
    return _reduce_scattered("Reduce_scatter", comm, sendbuf, target, own, counts, op)


class Collectives(Joining):
    """The collectives of a communicator that work on buffers."""

    Barrier, Ibarrier, Barrier_init = forms(barrier)
    Bcast, Ibcast, Bcast_init = forms(bcast)
    Gather, Igather, Gather_init = forms(gather)
    Gatherv, Igatherv, Gatherv_init = forms(gatherv)
    Scatter, Iscatter, Scatter_init = forms(scatter)
    Scatterv, Iscatterv, Scatterv_init = forms(scatterv)
    Allgather, Iallgather, Allgather_init = forms(allgather)
    Allgatherv, Iallgatherv, Allgatherv_init = forms(allgatherv)
    Alltoall, Ialltoall, Alltoall_init = forms(alltoall)
    Alltoallv, Ialltoallv, Alltoallv_init = forms(alltoallv)
    Alltoallw, Ialltoallw, Alltoallw_init = forms(alltoallw)
    Reduce, Ireduce, Reduce_init = forms(reduce)
    Allreduce, Iallreduce, Allreduce_init = forms(allreduce)
    Scan, Iscan, Scan_init = forms(scan)
    Exscan, Iexscan, Exscan_init = forms(exscan)
    Reduce_scatter_block, Ireduce_scatter_block, Reduce_scatter_block_init = forms(
        reduce_scatter_block
    )
    Reduce_scatter, Ireduce_scatter, Reduce_scatter_init = forms(reduce_scatter)


# --- Families -----------------------------------------------------------------------------------

Blocks = Callable[..., list[Buffer]]
"""Makes the blocks of a message for every rank: `split`, `vector` or `by_type`."""


def _gathered(
    name: str, blocks: Blocks, comm: Joining, sendbuf: Any, recvbuf: Any, root: int
) -> Exchange:
    is_root = _is_root(comm, root)
    targets = blocks(recvbuf, comm.size, writable=True) if is_root else []
    source = targets[comm.rank] if sendbuf is IN_PLACE else simple(sendbuf, writable=False)
    return Exchange(
        name,
        Pattern.SPREAD,
        source.pack(),
        lambda gives: [list(gives) if i == root else None for i in range(len(gives))],
        lambda result: _fill_all(comm, targets, result, skip=sendbuf is IN_PLACE),
        {"root": root},
        reads=() if sendbuf is IN_PLACE else (source,),
        writes=tuple(targets),
        destinations=None,
    )


def _scattered(
    name: str, blocks: Blocks, comm: Joining, sendbuf: Any, recvbuf: Any, root: int
) -> Exchange:
    is_root = _is_root(comm, root)
    sources = blocks(sendbuf, comm.size, writable=False) if is_root else []
    target = None if recvbuf is IN_PLACE else simple(recvbuf, writable=True)

    def take(result: Any) -> None:
        if target is not None:
            comm.fill(target, result[0], root)

    return Exchange(
        name,
        Pattern.SPREAD,
        [source.pack() for source in sources] if is_root else None,
        lambda gives: [[piece] for piece in gives[root]],
        take,
        {"root": root},
        reads=tuple(sources),
        writes=() if target is None else (target,),
        sources=[root],
    )


def _allgathered(name: str, blocks: Blocks, comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    targets = blocks(recvbuf, comm.size, writable=True)
    source = targets[comm.rank] if sendbuf is IN_PLACE else simple(sendbuf, writable=False)
    return Exchange(
        name,
        Pattern.SPREAD,
        source.pack(),
        lambda gives: [list(gives)] * len(gives),
        lambda result: _fill_all(comm, targets, result, skip=sendbuf is IN_PLACE),
        reads=() if sendbuf is IN_PLACE else (source,),
        writes=tuple(targets),
    )


def _all_to_all(name: str, blocks: Blocks, comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    targets = blocks(recvbuf, comm.size, writable=True)
    in_place = sendbuf is IN_PLACE
    sources = targets if in_place else blocks(sendbuf, comm.size, writable=False)
    return Exchange(
        name,
        Pattern.PAIRS,
        [source.pack() for source in sources],
        lambda gives: [[give[i] for give in gives] for i in range(len(gives))],
        lambda result: _fill_all(comm, targets, result),
        reads=() if in_place else tuple(sources),
        writes=tuple(targets),
    )


def _reduced(
    name: str,
    comm: Joining,
    sendbuf: Any,
    target: Buffer | None,
    op: Op,
    combine: Callable[[list[Any]], Sequence[Any]],
    agree: dict[str, object],
    pattern: Pattern,
) -> Exchange:
    in_place = sendbuf is IN_PLACE
    if in_place and target is None:
        comm.reject("IN_PLACE is for the root alone")
    source = target if in_place and target else simple(sendbuf, writable=False)

    def take(result: Elements | None) -> None:
        if result is not None and target is not None:
            comm.fill(target, result)

    return Exchange(
        name,
        pattern,
        source.pack(),
        combine,
        take,
        {"op": str(op), **agree},
        reads=() if in_place else (source,),
        writes=() if target is None else (target,),
    )


def _reduce_scattered(
    name: str,
    comm: Joining,
    sendbuf: Any,
    target: Buffer,
    own: Buffer,
    counts: Sequence[int],
    op: Op,
) -> Exchange:
    def combine(gives: list[Any]) -> Sequence[Any]:
        whole = _folded(comm, gives, op)
        if len(whole) != sum(counts):
            reason = f"{len(whole)} elements are given, and {sum(counts)} are expected"
            comm.context.simulation.fail(CollectiveMismatch(reason))
        stops = [sum(counts[: i + 1]) for i in range(len(counts))]
        return [whole[stop - n : stop] for n, stop in zip(counts, stops, strict=True)]

    in_place = sendbuf is IN_PLACE
    source = target if in_place else simple(sendbuf, writable=False)
    return Exchange(
        name,
        Pattern.SPREAD,
        source.pack(),
        combine,
        lambda result: comm.fill(own, result),
        {"op": str(op), "counts": list(counts)},
        reads=() if in_place else (source,),
        writes=(own,),
    )


def _folded(comm: Joining, gives: list[Elements], op: Op) -> Elements:
    """What all gave, combined, where they gave alike."""
    simulation = comm.context.simulation
    first = gives[0]
    for i, give in enumerate(gives):
        if (len(give), give.dtype.kind, give.itemsize) != _shape(first):
            a, b = comm.context.members[0].index, comm.context.members[i].index
            reason = (
                f"rank {a} gives {len(first)} elements of {first.dtype}, "
                f"rank {b} gives {len(give)} of {give.dtype}"
            )
            simulation.fail(CollectiveMismatch(reason))
    if not op.allows(first):
        simulation.fail(InvalidCall(f"{op} is not defined for {first.dtype}"))
    return op.fold(gives, simulation.random)


def _shape(elements: Elements) -> tuple[int, str, int]:
    return len(elements), elements.dtype.kind, elements.itemsize


def _fill_all(comm: Joining, targets: Sequence[Buffer], pieces: Any, *, skip: bool = False) -> None:
    """Put each rank's piece into its block; this rank's own is there already if `skip`."""
    for i, target in enumerate(targets):
        if not (skip and i == comm.rank):
            comm.fill(target, pieces[i], i)


def _is_root(comm: Joining, root: int) -> bool:
    if not 0 <= root < comm.size:
        comm.reject(f"root {root} is no rank of a communicator of {comm.size}")
    return comm.rank == root
