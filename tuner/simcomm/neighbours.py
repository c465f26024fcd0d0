"""Neighbourhood collectives: every rank exchanges with those next to it on a topology."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

from outpace.tuner.simcomm.buffers import Buffer, by_type, simple, split, vector
from outpace.tuner.simcomm.joining import Exchange, Joining, Pattern, forms
from outpace.tuner.simcomm.objects import ObjectCollectives
from outpace.tuner.simcomm.status import PROC_NULL
from outpace.tuner.simcomm.topologies import Edges


def neighbor_allgather(comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    """One block to every neighbour."""
    return _gathered("Neighbor_allgather", split, comm, sendbuf, recvbuf)


def neighbor_allgatherv(comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    """The same with blocks of any length."""
    return _gathered("Neighbor_allgatherv", vector, comm, sendbuf, recvbuf)


def neighbor_alltoall(comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    """A block for each neighbour."""
    return _all_to_all("Neighbor_alltoall", split, comm, sendbuf, recvbuf)


def neighbor_alltoallv(comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    """The same with blocks of any length."""
    return _all_to_all("Neighbor_alltoallv", vector, comm, sendbuf, recvbuf)


def neighbor_alltoallw(comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    """The same with blocks of any type."""
    return _all_to_all("Neighbor_alltoallw", by_type, comm, sendbuf, recvbuf)


class NeighbourCollectives(ObjectCollectives):
    """The neighbourhood collectives of a communicator."""

    Neighbor_allgather, Ineighbor_allgather, Neighbor_allgather_init = forms(neighbor_allgather)
    Neighbor_allgatherv, Ineighbor_allgatherv, Neighbor_allgatherv_init = forms(neighbor_allgatherv)
    Neighbor_alltoall, Ineighbor_alltoall, Neighbor_alltoall_init = forms(neighbor_alltoall)
    Neighbor_alltoallv, Ineighbor_alltoallv, Neighbor_alltoallv_init = forms(neighbor_alltoallv)
    Neighbor_alltoallw, Ineighbor_alltoallw, Neighbor_alltoallw_init = forms(neighbor_alltoallw)

    def neighbor_allgather(self, sendobj: Any) -> list[Any]:
        give = [pickle.dumps(sendobj)] * len(_edges(self).destinations)
        return self._among("neighbor_allgather", give)

    def neighbor_alltoall(self, sendobj: Sequence[Any]) -> list[Any]:
        count = len(_edges(self).destinations)
        if len(sendobj) != count:
            raise ValueError(f"expecting {count} items, got {len(sendobj)}")
        return self._among("neighbor_alltoall", [pickle.dumps(item) for item in sendobj])

    def _among(self, name: str, give: list[bytes]) -> list[Any]:
        got = self.complete(name, lambda: _exchange(name, self, give, lambda got: got))
        return [None if item is None else pickle.loads(item) for item in got]  # noqa: S301


Blocks = Callable[..., list[Buffer]]


def _gathered(name: str, blocks: Blocks, comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    edges = _edges(comm)
    source = simple(sendbuf, writable=False)
    targets = blocks(recvbuf, len(edges.sources), writable=True)
    give = [source.pack()] * len(edges.destinations)
    return _exchange(name, comm, give, _filling(comm, targets), (source,), tuple(targets))


def _all_to_all(name: str, blocks: Blocks, comm: Joining, sendbuf: Any, recvbuf: Any) -> Exchange:
    edges = _edges(comm)
    sources = tuple(blocks(sendbuf, len(edges.destinations), writable=False))
    targets = tuple(blocks(recvbuf, len(edges.sources), writable=True))
    give = [source.pack() for source in sources]
    return _exchange(name, comm, give, _filling(comm, targets), sources, targets)


def _exchange(
    name: str,
    comm: Joining,
    give: list[Any],
    take: Callable[[Any], Any],
    reads: tuple[Buffer, ...] = (),
    writes: tuple[Buffer, ...] = (),
) -> Exchange:
    """A piece for every neighbour, None where there is none."""
    edges = _edges(comm)
    everyone = comm.context.edges or []

    def combine(gives: list[Any]) -> Sequence[Any]:
        return [
            [None if peer == PROC_NULL else gives[peer][position] for peer, position in own.sources]
            for own in everyone
        ]

    pairs = zip(give, edges.destinations, strict=True)
    return Exchange(
        name,
        Pattern.NEIGHBOURS,
        [None if peer == PROC_NULL else piece for piece, peer in pairs],
        combine,
        take,
        reads=reads,
        writes=writes,
        destinations=edges.destinations,
        sources=[peer for peer, _ in edges.sources],
    )


def _filling(comm: Joining, targets: Sequence[Buffer]) -> Callable[[list[Any]], None]:
    peers = [peer for peer, _ in _edges(comm).sources]

    def take(pieces: list[Any]) -> None:
        for target, piece, peer in zip(targets, pieces, peers, strict=True):
            if piece is not None:
                comm.fill(target, piece, peer)

    return take


def _edges(comm: Joining) -> Edges:
    if comm.context.edges is None:
        comm.reject("a neighbourhood collective needs a communicator with a topology")
    return comm.context.edges[comm.rank]
