"""Carrying out exchanges in several modes; packed only where cells do not lie together."""

from collections import defaultdict
from collections.abc import Callable
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

import numpy as np

from outpace.codegen.mpi.templates.geometry import Axis, Box, Geometry, axis_block, blocks
from outpace.codegen.mpi.templates.messages import Message, Phase, cells_of, shape_of

Array = np.ndarray[Any, Any]


class Place(NamedTuple):
    """Where the cells of a message lie: the number of an array, and the box that it holds."""

    array: int
    corner: Box


class Transfer(NamedTuple):
    """A message, its cells in one of several arrays, and the buffer between, if there is one."""

    message: Message
    array: int
    cells: tuple[slice, ...]
    buffer: Array | None

    def memory(self, arrays: list[Array]) -> Array:
        """What is sent, or received into."""
        return arrays[self.array][self.cells] if self.buffer is None else self.buffer


class Side:
    """What a rank sends, or what it receives; buffers of one array in one piece, ordered by slot.

    Where messages travel one by one, cells that lie together in memory need no buffer.
    """

    def __init__(
        self,
        messages: list[tuple[Message, Place]],
        dtypes: list[Any],
        slots: dict[int, int],
        width: int,
        *,
        straight: bool,
    ) -> None:
        self.each: list[Transfer] = []
        self.pieces: list[list[Any]] = []
        for array, dtype in enumerate(dtypes):
            mine = [(m, place) for m, place in messages if m.array == array]
            mine.sort(key=lambda pair: (slots[pair[0].peer], pair[0].tag))
            sizes = [
                0 if straight and lies_together(m.box, place.corner) else prod(shape_of(m.box))
                for m, place in mine
            ]
            flat = np.empty(sum(sizes), dtype)
            counts, start = [0] * width, 0
            for (m, place), size in zip(mine, sizes, strict=True):
                buffer = flat[start : start + size].reshape(shape_of(m.box)) if size else None
                self.each.append(Transfer(m, place.array, cells_of(m.box, place.corner), buffer))
                counts[slots[m.peer]] += size
                start += size
            self.pieces.append([flat, (counts, [0, *accumulate(counts[:-1])])])


class Exchange:
    """The messages of one phase: `start` sends, `finish` receives.

    In the modes `blocking`, `alltoall` and `neighbourhood` all of it happens in `finish`. What does
    not change from call to call is made once; `open` and `close` stand around the rounds of a call.
    """

    def __init__(
        self,
        phase: Phase,
        rank: int,
        dtypes: list[Any],
        mode: str,
        source: Callable[[Message], Place],
        target: Callable[[Message], Place],
    ) -> None:
        ranks = phase.geometry.ranks
        slots, width = {peer: peer for peer in range(ranks)}, ranks
        if mode == "neighbourhood":
            slots, width = neighbour_slots(phase, rank)
        self.rank, self.mode = rank, mode
        straight = mode in ("nonblocking", "blocking")
        sent = [(m, source(m)) for m in phase.sent(rank)]
        received = [(m, target(m)) for m in phase.received(rank)]
        self.sent = Side(sent, dtypes, slots, width, straight=straight)
        self.received = Side(received, dtypes, slots, width, straight=straight)
        self.comm: Any = None
        self.requests: list[Any] = []

    def open(self, comm: Any) -> None:
        """Begin a call on this communicator, for `neighbourhood` one with the process grid."""
        self.comm, self.requests = comm, []
        if self.mode == "persistent":
            self.requests = [
                *(
                    comm.Recv_init(t.buffer, t.message.peer, t.message.tag)
                    for t in self.received.each
                ),
                *(comm.Send_init(t.buffer, t.message.peer, t.message.tag) for t in self.sent.each),
            ]

    def start(self, sources: list[Array], targets: list[Array]) -> None:
        """Send cells of the sources, and be ready to receive into the targets."""
        for t in self.sent.each:
            if t.buffer is not None:
                np.copyto(t.buffer, sources[t.array][t.cells])
        if self.mode == "persistent":
            for request in self.requests:
                request.Start()
        elif self.mode == "nonblocking":
            comm = self.comm
            self.requests = [
                *(
                    comm.Irecv(t.memory(targets), t.message.peer, t.message.tag)
                    for t in self.received.each
                ),
                *(
                    comm.Isend(t.memory(sources), t.message.peer, t.message.tag)
                    for t in self.sent.each
                ),
            ]

    def finish(self, sources: list[Array], targets: list[Array]) -> None:
        """Receive into these arrays."""
        if self.mode == "blocking":
            self._in_pairs(sources, targets)
        for sent, received in zip(self.sent.pieces, self.received.pieces, strict=True):
            if self.mode == "alltoall":
                self.comm.Alltoallv(sent, received)
            elif self.mode == "neighbourhood":
                self.comm.Neighbor_alltoallv(sent, received)
        for request in self.requests:
            request.Wait()
        for t in self.received.each:
            if t.buffer is not None:
                targets[t.array][t.cells] = t.buffer

    def close(self) -> None:
        """Give persistent requests back."""
        if self.mode == "persistent":
            for request in self.requests:
                request.Free()

    def _in_pairs(self, sources: list[Array], targets: list[Array]) -> None:
        """In rounds: to the rank so many places below, from the rank as many places above.

        Every rank goes through the rounds in the same order, so that none waits for ever.
        """
        ranks = self.comm.Get_size()
        rounds: dict[tuple[int, int], dict[str, Transfer]] = defaultdict(dict)
        for t in self.sent.each:
            rounds[(self.rank - t.message.peer) % ranks, t.message.tag]["out"] = t
        for t in self.received.each:
            rounds[(t.message.peer - self.rank) % ranks, t.message.tag]["in"] = t
        for (_, tag), pair in sorted(rounds.items(), key=lambda item: item[0]):
            out, into = pair.get("out"), pair.get("in")
            if out is not None and into is not None:
                self.comm.Sendrecv(
                    out.memory(sources), out.message.peer, tag,
                    into.memory(targets), into.message.peer, tag,
                )  # fmt: skip
            elif out is not None:
                self.comm.Send(out.memory(sources), out.message.peer, tag)
            elif into is not None:
                self.comm.Recv(into.memory(targets), into.message.peer, tag)


def lies_together(box: Box, corner: Box) -> bool:
    """Whether the cells of a box follow one another in an array that holds another box."""
    extents = list(zip(shape_of(box), shape_of(corner), strict=True))
    while extents and extents[0][0] == 1:
        del extents[0]
    return all(some == every for some, every in extents[1:])


def neighbour_slots(phase: Phase, rank: int) -> tuple[dict[int, int], int]:
    """Position of the two neighbours along a phase among all neighbours in the grid."""
    geometry, along = phase.geometry, str(phase.along)
    at, parts = list(geometry.grid).index(along), geometry.grid[along]
    stride = prod(list(geometry.grid.values())[at + 1 :])
    here = geometry.coordinates(rank)[along]
    wraps = along in geometry.reach and geometry.reach[along].wraps
    slots = {}
    for slot, place in ((2 * at, here - 1), (2 * at + 1, here + 1)):
        if wraps or 0 <= place < parts:
            slots[rank + (place % parts - here) * stride] = slot
    return slots, 2 * len(geometry.grid)


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
