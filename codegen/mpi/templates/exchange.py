"""Carrying out exchanges: packed messages, in several modes."""

from collections import defaultdict
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from outpace.codegen.mpi.templates.geometry import Axis, Box, Geometry, axis_block, blocks
from outpace.codegen.mpi.templates.messages import Message, Phase, cells_of, shape_of

Array = np.ndarray[Any, Any]


def poisoned(shape: tuple[int, ...], dtype: Any) -> Array:
    """A new array whose cells show where they are used without having been received."""
    array = np.empty(shape, dtype)
    array.fill(np.nan if array.dtype.kind in "fc" else 1)
    return array


class Buffers:
    """Buffers of messages, those of one array in one piece, ordered by slot."""

    def __init__(
        self, messages: list[Message], dtypes: list[Any], slots: dict[int, int], width: int
    ) -> None:
        self.each: list[tuple[Message, Array]] = []
        self.pieces: list[list[Any]] = []
        for array, dtype in enumerate(dtypes):
            mine = [m for m in messages if m.array == array]
            mine.sort(key=lambda m: (slots[m.peer], m.tag))
            flat = poisoned((sum(prod(shape_of(m.box)) for m in mine),), dtype)
            counts, start = [0] * width, 0
            for m in mine:
                size = prod(shape_of(m.box))
                self.each.append((m, flat[start : start + size].reshape(shape_of(m.box))))
                counts[slots[m.peer]] += size
                start += size
            self.pieces.append([flat, (counts, [0, *accumulate(counts[:-1])])])


class Exchange:
    """The messages of one phase: `start` packs and sends, `finish` receives and unpacks.

    In the modes `blocking`, `alltoall` and `neighbourhood` all of it happens in `finish`.
    """

    def __init__(
        self, comm: Any, phase: Phase, dtypes: list[Any], mode: str, cart: Any = None
    ) -> None:
        rank, ranks = comm.Get_rank(), comm.Get_size()
        self.comm, self.mode, self.cart = comm, mode, cart
        slots, width = {peer: peer for peer in range(ranks)}, ranks
        if mode == "neighbourhood":
            slots, width = _neighbour_slots(cart, phase)
        self.corners = [phase.geometry.needed(axes, rank) for axes in phase.arrays]
        self.sent = Buffers(phase.sent(rank), dtypes, slots, width)
        self.received = Buffers(phase.received(rank), dtypes, slots, width)
        self.requests: list[Any] = []
        if mode == "persistent":
            self.requests = [
                *(comm.Recv_init(b, source=m.peer, tag=m.tag) for m, b in self.received.each),
                *(comm.Send_init(b, dest=m.peer, tag=m.tag) for m, b in self.sent.each),
            ]

    def start(self, sources: list[Array], corners: list[Box]) -> None:
        """Pack cells of the sources, whose first cells are those of the corners, and send them."""
        for m, buffer in self.sent.each:
            np.copyto(buffer, sources[m.array][cells_of(m.box, corners[m.array])])
        if self.mode == "persistent":
            for request in self.requests:
                request.Start()
        elif self.mode == "nonblocking":
            self.requests = [
                *(self.comm.Irecv(b, source=m.peer, tag=m.tag) for m, b in self.received.each),
                *(self.comm.Isend(b, dest=m.peer, tag=m.tag) for m, b in self.sent.each),
            ]

    def finish(self, targets: list[Array]) -> None:
        """Receive, and unpack into arrays of the local problem."""
        if self.mode == "blocking":
            self._in_pairs()
        for sent, received in zip(self.sent.pieces, self.received.pieces, strict=True):
            if self.mode == "alltoall":
                self.comm.Alltoallv(sent, received)
            elif self.mode == "neighbourhood":
                self.cart.Neighbor_alltoallv(sent, received)
        for request in self.requests:
            request.Wait()
        for m, buffer in self.received.each:
            targets[m.array][cells_of(m.box, self.corners[m.array])] = buffer

    def close(self) -> None:
        """Give persistent requests back."""
        if self.mode == "persistent":
            for request in self.requests:
                request.Free()

    def _in_pairs(self) -> None:
        """In rounds: to the rank so many places below, from the rank as many places above.

        Every rank goes through the rounds in the same order, so that none waits for ever.
        """
        ranks, rank = self.comm.Get_size(), self.comm.Get_rank()
        rounds: dict[tuple[int, int], dict[str, tuple[Message, Array]]] = defaultdict(dict)
        for m, buffer in self.sent.each:
            rounds[(rank - m.peer) % ranks, m.tag]["out"] = m, buffer
        for m, buffer in self.received.each:
            rounds[(m.peer - rank) % ranks, m.tag]["in"] = m, buffer
        for (_, tag), pair in sorted(rounds.items(), key=lambda item: item[0]):
            if "in" not in pair:
                m, buffer = pair["out"]
                self.comm.Send(buffer, dest=m.peer, tag=tag)
            elif "out" not in pair:
                m, buffer = pair["in"]
                self.comm.Recv(buffer, source=m.peer, tag=tag)
            else:
                (to, outgoing), (source, incoming) = pair["out"], pair["in"]
                self.comm.Sendrecv(outgoing, to.peer, tag, incoming, source.peer, tag)


def _neighbour_slots(cart: Any, phase: Phase) -> tuple[dict[int, int], int]:
    """Position of the two neighbours along a phase among all neighbours in the grid."""
    dims = list(phase.geometry.grid)
    at = dims.index(str(phase.along))
    below, above = cart.Shift(at, 1)
    return {below: 2 * at, above: 2 * at + 1}, 2 * len(dims)


def are_adjacent(geometry: Geometry, arrays: list[tuple[Axis, ...]]) -> bool:
    """Whether ghost cells come from nobody but the two neighbours along each dim, on all ranks."""
    return all(
        _comes_from_neighbours(geometry, axis)
        for axes in arrays
        for axis in axes
        if axis.over and geometry.grid[axis.over[0]] > 1
    )


def _comes_from_neighbours(geometry: Geometry, axis: Axis) -> bool:
    if axis.over != (axis.dim,) or axis.dim not in geometry.reach:
        return False
    parts, extent = geometry.grid[axis.dim], geometry.sizes[axis.dim]
    filled = sum(start < end for start, end in blocks(extent, parts))
    wraps = geometry.reach[axis.dim].wraps
    if wraps and (filled < parts or parts < 3):  # both neighbours would be one rank
        return False
    own = [axis_block(extent, axis.constant, parts, place) for place in range(parts)]
    for place in range(filled):
        first, last = geometry.regions[axis.dim][place]
        before = own[place - 1][0] if place else (own[-1][0] - extent if wraps else 0)
        after = own[place + 1][1] if place + 1 < filled else own[-1][1]
        if wraps and place + 1 == filled:
            after = own[0][1] + extent
        if first < before or last + axis.constant > after:
            return False
    return True
