"""The local kernel on own cells with ghost cells around, exchanged before every few steps."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from outpace.codegen.mpi.templates.exchange import Array, Exchange, are_adjacent, poisoned
from outpace.codegen.mpi.templates.geometry import Axis, Box, Geometry, Reach
from outpace.codegen.mpi.templates.messages import Phase, cells_of, overlap, shape_of


class Parts(NamedTuple):
    """What the kernel takes: every parameter in order, and what becomes of them.

    `carried` names for each output that is the state of the next step the input that it becomes.
    """

    order: tuple[str, ...]
    axes: dict[str, tuple[Axis, ...]]
    mutated: tuple[str, ...]
    outputs: tuple[str, ...]
    carried: dict[str, str]
    steps: str | None


class Exchanges(NamedTuple):
    """How ghost cells travel."""

    mode: str
    in_phases: bool
    overlap: bool


Span = tuple[int, int]
Ranges = dict[str, Span]


class Sides(NamedTuple):
    """Cells of one dim: owned, computed, computable without ghost cells, and right after that."""

    own: Span
    outer: Span
    inner: Span
    middle: Span
    reach: Reach

    @property
    def is_small(self) -> bool:
        """Whether there is too little between the strips."""
        least = max(1, self.reach.low, self.reach.high)
        return self.middle[1] - self.middle[0] < least

    @property
    def strips(self) -> list[tuple[Span, Span]]:
        """What is computed and what is kept at both ends."""
        (start, end), (first, last), (a, b) = self.own, self.outer, self.middle
        found = []
        if a > start:
            found.append(((first, min(a + self.reach.high, last)), (start, a)))
        if b < end:
            found.append(((max(b - self.reach.low, first), last), (b, end)))
        return found


class Solver:
    """One call of a distributed kernel on one rank."""

    def __init__(
        self,
        comm: Any,
        geometry: Geometry,
        parts: Parts,
        values: dict[str, Any],
        how: Exchanges,
        fits: Callable[[dict[str, int]], bool],
    ) -> None:
        self.comm, self.geometry, self.parts, self.values = comm, geometry, parts, values
        self.how, self.fits = how, fits
        rank = comm.Get_rank()
        self.own = {name: geometry.own(axes, rank) for name, axes in parts.axes.items()}
        self.needed = {name: geometry.needed(axes, rank) for name, axes in parts.axes.items()}
        self.is_idle = geometry.is_idle(rank)
        self.inputs = [name for name in parts.axes if name not in parts.outputs]
        self.state = [*parts.mutated, *parts.carried.values()]
        self.local: dict[str, Array] = {}

    def run(self, kernel: Callable[..., None], depth: int) -> None:
        """Run all steps, so many at a time."""
        total = 1 if self.parts.steps is None else self.values[self.parts.steps]
        if self.geometry.is_whole:
            depth = total
        self.local = {name: self._local(name, is_last=depth >= total) for name in self.parts.axes}
        exchange = self._exchanges(self.inputs)
        done = 0
        while True:
            steps = min(depth, total - done)
            self._step(kernel, steps, *exchange)
            done += steps
            if done >= total:
                break
            if steps == done:  # from now on only the state changes
                self._close(exchange)
                exchange = self._exchanges(self.state)
            for output, source in self.parts.carried.items():
                self.local[output], self.local[source] = self.local[source], self.local[output]
        self._close(exchange)
        for name in (*self.parts.mutated, *self.parts.outputs):
            if self.local[name] is not self.values[name]:
                mine = cells_of(self.own[name], self.needed[name])
                self.values[name][...] = self.local[name][mine]

    def _local(self, name: str, *, is_last: bool) -> Array:
        """The array of the local problem; the caller's own where that will do."""
        given: Array = self.values[name]
        swapped = {*self.parts.carried, *self.parts.carried.values()}
        if self.own[name] == self.needed[name] and (is_last or name not in swapped):
            return given
        local = poisoned(shape_of(self.needed[name]), given.dtype)
        common = overlap(self.own[name], self.needed[name])
        if name in self.inputs and common is not None:
            mine = given[cells_of(common, self.own[name])]
            local[cells_of(common, self.needed[name])] = mine
        return local

    def _exchanges(self, names: list[str]) -> tuple[list[str], list[Exchange]]:
        """The exchange of these arrays, one after another along every dim if it is in phases."""
        geometry = self.geometry
        names = [name for name in names if any(axis.over for axis in self.parts.axes[name])]
        arrays = [self.parts.axes[name] for name in names]
        dtypes = [self.values[name].dtype for name in names]
        mode, cart = self.how.mode, None
        if mode == "neighbourhood" and not (names and are_adjacent(geometry, arrays)):
            mode = "nonblocking"
        if mode == "neighbourhood":
            wraps = [dim in geometry.reach and geometry.reach[dim].wraps for dim in geometry.grid]
            cart = self.comm.Create_cart(list(geometry.grid.values()), periods=wraps, reorder=False)
        cut = [dim for dim, parts in geometry.grid.items() if parts > 1]
        along: list[str | None] = [*cut] if self.how.in_phases else [None]
        phases = [Phase(geometry, arrays, dim) for dim in along]
        return names, [Exchange(self.comm, phase, dtypes, mode, cart) for phase in phases]

    def _close(self, exchange: tuple[list[str], list[Exchange]]) -> None:
        for one in exchange[1]:
            one.close()
        if exchange[1] and exchange[1][0].cart is not None:
            exchange[1][0].cart.Free()

    def _step(
        self, kernel: Callable[..., None], steps: int, names: list[str], exchanges: list[Exchange]
    ) -> None:
        """One exchange and the steps that it is good for."""
        arrays = [self.local[name] for name in names]
        pieces = self._pieces() if self.how.overlap and not self.is_idle else []
        for position, exchange in enumerate(exchanges):
            sources = [self._source(name) for name in names]
            exchange.start([source for source, _ in sources], [corner for _, corner in sources])
            if position == 0 and pieces:
                self._run_piece(kernel, steps, *pieces[0])
            exchange.finish(arrays)
        for piece in pieces[1:]:
            self._run_piece(kernel, steps, *piece)
        if not pieces and not self.is_idle:
            sizes = self.geometry.local_sizes(self.comm.Get_rank())
            kernel(*self._arguments(self.local, sizes, steps))

    def _source(self, name: str) -> tuple[Array, Box]:
        """Where own cells are now, and the box that it holds."""
        if overlap(self.own[name], self.needed[name]) == self.own[name]:
            return self.local[name], self.needed[name]
        given: Array = self.values[name]
        return given, self.own[name]

    def _arguments(
        self, arrays: dict[str, Array], sizes: dict[str, int], steps: int
    ) -> Iterator[Any]:
        for name in self.parts.order:
            if name in arrays:
                yield arrays[name]
            elif name == self.parts.steps:
                yield steps
            else:
                yield sizes[name] if name in self.geometry.reach else self.values[name]

    def _pieces(self) -> list[tuple[Ranges, Ranges]]:
        """What is computed, and what of it is kept: the interior, then strips; [] if too small.

        The interior needs no ghost cells. What lies near an artificial edge is not kept.
        """
        rank = self.comm.Get_rank()
        cut = [dim for dim in self.geometry.reach if self.geometry.grid[dim] > 1]
        sides = {dim: self._sides(dim) for dim in cut}
        if not cut or self.geometry.is_whole or any(s.is_small for s in sides.values()):
            return []
        pieces = [({d: s.inner for d, s in sides.items()}, {d: s.middle for d, s in sides.items()})]
        for position, dim in enumerate(cut):
            run = {d: s.inner if d in cut[:position] else s.outer for d, s in sides.items()}
            kept = {d: s.middle if d in cut[:position] else s.own for d, s in sides.items()}
            pieces += [({**run, dim: r}, {**kept, dim: k}) for r, k in sides[dim].strips]
        sizes = self.geometry.local_sizes(rank)
        small = any(not self.fits({**sizes, **_extents(run)}) for run, _ in pieces)
        return [] if small else pieces

    def _sides(self, dim: str) -> Sides:
        """How this rank's block of a dim falls into a middle and strips."""
        rank, reach = self.comm.Get_rank(), self.geometry.reach[dim]
        start, end = self.geometry.own((Axis(dim, 0, (dim,)),), rank)[0]
        constants = (a.constant for n in self.inputs for a in self.parts.axes[n] if a.dim == dim)
        ghosts = max(constants, default=0)
        low = high = below = above = 0
        if start > 0 or reach.wraps:  # else the block begins at a true edge
            low, below = ghosts // 2, reach.low
        if end < self.geometry.sizes[dim] or reach.wraps:
            high, above = ghosts - ghosts // 2, reach.high
        return Sides(
            (start, end),
            self.geometry.region(dim, rank),
            (start + low, end - high),
            (start + low + below, end - high - above),
            reach,
        )

    def _run_piece(
        self,
        kernel: Callable[..., None],
        steps: int,
        run: Ranges,
        kept: Ranges,
    ) -> None:
        """Run the kernel on a part of the local problem and keep a part of what it gives."""
        arrays = {}
        boxes = {name: self._box(name, run) for name in self.local}
        for name, array in self.local.items():
            if name in self.parts.outputs:
                arrays[name] = np.empty(shape_of(boxes[name]), array.dtype)
            else:
                arrays[name] = np.ascontiguousarray(array[cells_of(boxes[name], self.needed[name])])
        sizes = {**self.geometry.local_sizes(self.comm.Get_rank()), **_extents(run)}
        kernel(*self._arguments(arrays, sizes, steps))
        for name in self.parts.outputs:
            box = self._box(name, kept)
            self.local[name][cells_of(box, self.needed[name])] = arrays[name][
                cells_of(box, boxes[name])
            ]

    def _box(self, name: str, ranges: Ranges) -> Box:
        """The cells of an array that belong to ranges of the cut dims."""
        spans = zip(self.parts.axes[name], self.needed[name], strict=True)
        return tuple(
            (ranges[axis.dim][0], ranges[axis.dim][1] + axis.constant)
            if axis.dim in ranges
            else span
            for axis, span in spans
        )


def _extents(ranges: Ranges) -> dict[str, int]:
    return {dim: end - start for dim, (start, end) in ranges.items()}
