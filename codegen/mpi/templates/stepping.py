"""The local kernel on own cells with ghost cells around, exchanged before every few steps."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from outpace.codegen.mpi.templates.exchange import Array, Exchange, Place, are_adjacent
from outpace.codegen.mpi.templates.geometry import Axis, Geometry
from outpace.codegen.mpi.templates.messages import Phase, cells_of, overlap, shape_of
from outpace.codegen.mpi.templates.pieces import Piece, box_of, extents, pieces_of


class Parts(NamedTuple):
    """What the kernel takes: every parameter in order, and what becomes of them.

    `carried` names for each output that is the state of the next step the input that it becomes.
    """

    order: tuple[str, ...]
    axes: dict[str, tuple[Axis, ...]]
    dtypes: dict[str, str]
    mutated: tuple[str, ...]
    outputs: tuple[str, ...]
    carried: dict[str, str]
    steps: str | None


class Exchanges(NamedTuple):
    """How ghost cells travel, and for how many steps they are good."""

    mode: str
    in_phases: bool
    overlap: bool
    depth: int


Kernel = Callable[..., None]


class Solver:
    """A distributed kernel on one rank; memory and messages are the same for every call."""

    def __init__(
        self,
        rank: int,
        geometry: Geometry,
        parts: Parts,
        how: Exchanges,
        fits: Callable[[dict[str, int]], bool],
    ) -> None:
        self.rank, self.geometry, self.parts, self.how = rank, geometry, parts, how
        self.own = {name: geometry.own(axes, rank) for name, axes in parts.axes.items()}
        self.needed = {name: geometry.needed(axes, rank) for name, axes in parts.axes.items()}
        self.is_idle = geometry.is_idle(rank)
        self.sizes = geometry.local_sizes(rank)
        self.inputs = [name for name in parts.axes if name not in parts.outputs]
        self.state = [*parts.mutated, *parts.carried.values()]
        axes = [axis for name in self.inputs for axis in parts.axes[name]]
        spare = {
            dim: max([0, *(a.constant for a in axes if a.dim == dim)]) for dim in geometry.reach
        }
        wanted = how.overlap and not self.is_idle
        self.pieces = pieces_of(geometry, rank, spare, fits) if wanted else []
        self.memory: dict[Any, Array] = {}
        self.exchanges: dict[tuple[str, ...], list[Exchange]] = {}
        self.values: dict[str, Any] = {}
        self.local: dict[str, Array] = {}

    def run(self, comm: Any, kernel: Kernel, values: dict[str, Any]) -> None:
        """Run all steps, so many at a time; `values` holds own blocks, and scalars."""
        total = 1 if self.parts.steps is None else values[self.parts.steps]
        depth = total if self.geometry.is_whole else self.how.depth
        self.values = values
        self.local = {name: self._local(name, is_last=depth >= total) for name in self.parts.axes}
        names = self._cut(self.inputs)
        cart = self._open(comm, names)
        done = 0
        while True:
            steps = min(depth, total - done)
            self._step(kernel, steps, names)
            done += steps
            if done >= total:
                break
            if steps == done:  # from now on only the state changes
                self._close(names, cart)
                names = self._cut(self.state)
                cart = self._open(comm, names)
            for output, source in self.parts.carried.items():
                self.local[output], self.local[source] = self.local[source], self.local[output]
        self._close(names, cart)
        for name in (*self.parts.mutated, *self.parts.outputs):
            if self.local[name] is not values[name]:
                values[name][...] = self.local[name][cells_of(self.own[name], self.needed[name])]
        self.values, self.local = {}, {}

    def kept(self, key: Any, shape: tuple[int, ...], name: str) -> Array:
        """Memory that is there from call to call: fresh pages cost as much as computing on them."""
        if key not in self.memory:
            self.memory[key] = np.empty(shape, self.parts.dtypes[name])
        return self.memory[key]

    def _local(self, name: str, *, is_last: bool) -> Array:
        """The array of the local problem; the caller's own where that will do."""
        given: Array = self.values[name]
        swapped = {*self.parts.carried, *self.parts.carried.values()}
        if self.own[name] == self.needed[name] and (is_last or name not in swapped):
            return given
        local = self.kept(name, shape_of(self.needed[name]), name)
        common = overlap(self.own[name], self.needed[name])
        if name in self.inputs and common is None:
            poison_around(local, (slice(0, 0),))
        elif name in self.inputs and common is not None:
            mine = cells_of(common, self.needed[name])
            poison_around(local, mine)
            local[mine] = given[cells_of(common, self.own[name])]
        return local

    # --- Exchanges ------------------------------------------------------------------------------

    def _cut(self, names: list[str]) -> tuple[str, ...]:
        return tuple(name for name in names if any(axis.over for axis in self.parts.axes[name]))

    def _open(self, comm: Any, names: tuple[str, ...]) -> Any:
        """Make the exchange of these arrays ready; the communicator that it needs for itself."""
        if names not in self.exchanges:
            self.exchanges[names] = self._exchange(names)
        phases = self.exchanges[names]
        cart = None
        if phases and phases[0].mode == "neighbourhood":
            geometry = self.geometry
            wraps = [dim in geometry.reach and geometry.reach[dim].wraps for dim in geometry.grid]
            cart = comm.Create_cart(list(geometry.grid.values()), periods=wraps, reorder=False)
        for phase in phases:
            phase.open(comm if cart is None else cart)
        return cart

    def _close(self, names: tuple[str, ...], cart: Any) -> None:
        for phase in self.exchanges[names]:
            phase.close()
        if cart is not None:
            cart.Free()

    def _exchange(self, names: tuple[str, ...]) -> list[Exchange]:
        """One phase for all, or one after another along every dim."""
        geometry, mode = self.geometry, self.how.mode
        arrays = [self.parts.axes[name] for name in names]
        if mode == "neighbourhood" and not (names and are_adjacent(geometry, arrays)):
            mode = "nonblocking"
        cut = [dim for dim, parts in geometry.grid.items() if parts > 1]
        along: list[str | None] = [*cut] if self.how.in_phases else [None]
        held = [self.needed[n] if self._is_held(n) else self.own[n] for n in names]
        return [
            Exchange(
                Phase(geometry, arrays, dim),
                self.rank,
                [self.parts.dtypes[name] for name in names],
                mode,
                source=lambda m: Place(m.array, held[m.array]),
                target=lambda m: Place(m.array, self.needed[names[m.array]]),
            )
            for dim in along
        ]

    def _is_held(self, name: str) -> bool:
        """Whether the local array holds all own cells; they are the caller's otherwise."""
        return overlap(self.own[name], self.needed[name]) == self.own[name]

    # --- Computing ------------------------------------------------------------------------------

    def _step(self, kernel: Kernel, steps: int, names: tuple[str, ...]) -> None:
        """One exchange and the steps that it is good for."""
        targets = [self.local[name] for name in names]
        sources = [self.local[n] if self._is_held(n) else self.values[n] for n in names]
        for position, phase in enumerate(self.exchanges[names]):
            phase.start(sources, targets)
            if position == 0 and self.pieces:
                self._run_piece(kernel, steps, self.pieces[0])
            phase.finish(sources, targets)
        for piece in self.pieces[1:]:
            self._run_piece(kernel, steps, piece)
        if not self.pieces and not self.is_idle:
            kernel(*self.arguments(self.local, self.sizes, steps))

    def arguments(
        self, arrays: dict[str, Array], sizes: dict[str, int], steps: int
    ) -> Iterator[Any]:
        """Arguments of the kernel in order."""
        for name in self.parts.order:
            if name in arrays:
                yield arrays[name]
            elif name == self.parts.steps:
                yield steps
            else:
                yield sizes[name] if name in self.geometry.reach else self.values[name]

    def _run_piece(self, kernel: Kernel, steps: int, piece: Piece) -> None:
        """Run the kernel on a part of the local problem and keep a part of what it gives."""
        arrays = {}
        boxes = {n: box_of(axes, piece.run, self.needed[n]) for n, axes in self.parts.axes.items()}
        for name, array in self.local.items():
            arrays[name] = part = array[cells_of(boxes[name], self.needed[name])]
            if name in self.parts.outputs or not part.flags.c_contiguous:
                shape = shape_of(boxes[name])
                arrays[name] = self.kept((name, shape), shape, name)
            if name not in self.parts.outputs and arrays[name] is not part:
                np.copyto(arrays[name], part)
        kernel(*self.arguments(arrays, {**self.sizes, **extents(piece.run)}, steps))
        for name in self.parts.outputs:
            box = box_of(self.parts.axes[name], piece.kept, self.needed[name])
            kept = arrays[name][cells_of(box, boxes[name])]
            self.local[name][cells_of(box, self.needed[name])] = kept


def poison_around(array: Array, inner: tuple[slice, ...]) -> None:
    """Fill the cells outside a box so that it shows where they are used without being received."""
    value = np.nan if array.dtype.kind in "fc" else 1
    for axis, cells in enumerate(inner):
        for outside in (slice(0, cells.start), slice(cells.stop, None)):
            array[(*inner[:axis], outside)] = value
