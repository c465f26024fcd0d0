"""One exchange and no copy of a block: the middle where it lies, then a strip at either end.

The one dim that is cut is the first of every array that it cuts, so that pieces of own blocks lie
together in memory.
"""

from typing import Any

from outpace.codegen.mpi.templates.exchange import Array, Exchange, Place
from outpace.codegen.mpi.templates.geometry import Box
from outpace.codegen.mpi.templates.messages import Message, Phase, cells_of, overlap, shape_of
from outpace.codegen.mpi.templates.pieces import Piece, box_of, extents
from outpace.codegen.mpi.templates.stepping import Kernel, Solver, poison_around


def can_slice(solver: Solver) -> bool:
    """Whether a rank can go without copies of its blocks."""
    cut = [dim for dim, parts in solver.geometry.grid.items() if parts > 1]
    axes = solver.parts.axes.values()
    return (
        bool(solver.pieces)
        and solver.how.mode in ("nonblocking", "persistent")
        and len(cut) == 1
        and not any(axis.over == (cut[0],) for several in axes for axis in several[1:])
    )


class Slabs:
    """A distributed kernel that exchanges once, on one rank."""

    def __init__(self, solver: Solver) -> None:
        self.solver = solver
        self.middle, *self.strips = solver.pieces
        self.names = [n for n in solver.inputs if any(axis.over for axis in solver.parts.axes[n])]
        mode, parts = solver.how.mode, solver.parts
        arrays = [parts.axes[name] for name in self.names]
        self.exchange = Exchange(
            Phase(solver.geometry, arrays, None),
            solver.rank,
            [parts.dtypes[name] for name in self.names],
            mode,
            source=lambda m: Place(m.array, solver.own[self.names[m.array]]),
            target=self._strip_of,
        )

    def run(self, comm: Any, kernel: Kernel, values: dict[str, Any]) -> None:
        """Run all steps; `values` holds own blocks, and scalars."""
        self.solver.values = values
        edges = [self._edge(name, strip) for strip in self.strips for name in self.names]
        sources = [values[name] for name in self.names]
        self.exchange.open(comm)
        self.exchange.start(sources, edges)
        self._compute(kernel, self.middle)
        self.exchange.finish(sources, edges)
        self.exchange.close()
        for strip in self.strips:
            self._compute(kernel, strip)
        self.solver.values = {}

    def _box(self, name: str, piece: Piece) -> Box:
        return box_of(self.solver.parts.axes[name], piece.run, self.solver.needed[name])

    def _strip_of(self, m: Message) -> Place:
        """The strip that needs a message."""
        name = self.names[m.array]
        boxes = [self._box(name, strip) for strip in self.strips]
        place = next(i for i, box in enumerate(boxes) if overlap(m.box, box) == m.box)
        return Place(place * len(self.names) + m.array, boxes[place])

    def _memory(self, name: str, piece: Piece) -> Array:
        box = self._box(name, piece)
        return self.solver.kept((name, box), shape_of(box), name)

    def _edge(self, name: str, strip: Piece) -> Array:
        """What a strip needs of an array: own cells, and poison where ghost cells will come."""
        box, own, edge = self._box(name, strip), self.solver.own[name], self._memory(name, strip)
        common = overlap(box, own)
        if common is None:
            poison_around(edge, (slice(0, 0),))
        else:
            poison_around(edge, cells_of(common, box))
            edge[cells_of(common, box)] = self.solver.values[name][cells_of(common, own)]
        return edge

    def _compute(self, kernel: Kernel, piece: Piece) -> None:
        """Run the kernel on a piece; of a strip, what is right is copied to its place."""
        solver, values, arrays = self.solver, self.solver.values, {}
        results = solver.parts.outputs
        for name, own in solver.own.items():
            if piece is not self.middle and (name in self.names or name in results):
                arrays[name] = self._memory(name, piece)
            else:
                arrays[name] = values[name][cells_of(self._box(name, piece), own)]
        steps = 1 if solver.parts.steps is None else values[solver.parts.steps]
        kernel(*solver.arguments(arrays, {**solver.sizes, **extents(piece.run)}, steps))
        for name in results if piece is not self.middle else ():
            kept = box_of(solver.parts.axes[name], piece.kept, solver.needed[name])
            mine = arrays[name][cells_of(kept, self._box(name, piece))]
            values[name][cells_of(kept, solver.own[name])] = mine
