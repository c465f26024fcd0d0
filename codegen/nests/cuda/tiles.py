"""A stencil by tiles: a block goes some steps in shared memory before it writes.

It takes its cells and so many around them as these steps depend on; it computes some of them, too.
Cells that the stencil does not write keep their values. These may differ between the arrays of a
time loop; as in these, states of even and of odd number have their own, and the number of steps
is odd, so that the last state is where it would be after single steps. Where a step reads two
states, three arrays take turns, and the number of steps is one more than a multiple of three. The
last state is then in the free array. The one before it would be where other blocks still read, so
it is left in a spare one, with which the array changes places afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from outpace.codegen.cuda.limits import MOST_SHARED
from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.cuda.expressions import cuda_type
from outpace.codegen.nests.cuda.grids import Grid, Host
from outpace.codegen.nests.cuda.parameters import THREADS, TILES, TIME
from outpace.codegen.nests.cuda.stencils import Stencil
from outpace.codegen.nests.cuda.threads import Thread, indented, nested
from outpace.codegen.nests.ir import Array, Assign, Expression, Load, Position

NAMES = frozenset(
    {
        "levels",
        "before",
        "after",
        "past",
        "cell",
        "step",
        "updated",
        "is_inside",
        "is_there",
        "cells",
        "shared_bytes",
    }
    | {f"{name}_{axis}" for name in ("tile", "width", "cell", "place") for axis in "zyx"}
)
"""Names in the text below."""


@dataclass(frozen=True)
class Tiles:
    """Writes the kernel of a stencil.

    Attributes:
        stencil: The step.
        array: The array that is read.
        spare: The array for the state before the last one, if that is needed.
        thread: Writes what each thread does by itself.
        host: Writes an integer for the launch plan.
    """

    stencil: Stencil
    array: Array
    spare: str
    thread: Thread
    host: Host

    @property
    def constraints(self) -> tuple[str, ...]:
        """What must hold: states fit into the shared memory of a block, and end in their places."""
        turns = f"{TIME} == 0 or {TIME} % {self._states} == 1"
        return (f"{self._bytes} <= {MOST_SHARED}", turns)

    @property
    def _states(self) -> int:
        """Arrays that take turns."""
        return 2 if self.stencil.past is None else 3

    @property
    def _bytes(self) -> str:
        """Bytes of all states."""
        widths = [
            f"({tile} + {r} * {TIME})" for tile, r in zip(self._tiles, self._reaches, strict=True)
        ]
        return f"{' * '.join(widths)} * {self._states * np.dtype(self.array.dtype).itemsize}"

    def grid(self) -> Grid:
        """Blocks of threads, one for a tile or a few."""
        counts = [
            f"max(0, min(ceildiv({self.host(r.extent)}, {tile}), {most}))"
            for r, tile, most in zip(
                reversed(self.stencil.nest.ranges),
                reversed(self._tiles),
                (2147483647, 65535, 65535),
                strict=False,
            )
        ]
        heads = tuple(
            f"for (int64_t tile_{a} = (int64_t)blockIdx.{a} * {tile}; "
            f"tile_{a} < {_text(r.extent)}; tile_{a} += (int64_t)gridDim.{a} * {tile})"
            for a, tile, r in zip(self._axes, self._tiles, self.stencil.nest.ranges, strict=True)
        )
        macros = frozenset({*self._tiles, THREADS, TIME})
        return Grid(heads, (), tuple(counts), (THREADS,), THREADS, macros, self._bytes)

    def body(self) -> list[str]:
        """The statements of a kernel, with its loops over tiles."""
        kind = cuda_type(self.array.dtype)
        widths = [
            f"constexpr int width_{a} = {tile} + {r} * {TIME};"
            for a, tile, r in zip(self._axes, self._tiles, self._reaches, strict=True)
        ]
        cells = " * ".join(f"width_{a}" for a in self._axes)
        return [
            *widths,
            f"constexpr int cells = {cells};",
            "extern __shared__ __align__(16) unsigned char shared_bytes[];",
            f"{kind} (*const levels)[cells] = ({kind} (*)[cells])shared_bytes;",
            *self.grid().around([*self._taken(), "__syncthreads();", *self._steps()]),
        ]

    # --- Parts ------------------------------------------------------------------------------------

    @property
    def _axes(self) -> str:
        return "zyx"[-len(self.array.shape) :]

    @property
    def _tiles(self) -> Sequence[str]:
        return TILES[-len(self.array.shape) :]

    @property
    def _reaches(self) -> list[int]:
        return [a + b for a, b in zip(self.stencil.low, self.stencil.high, strict=True)]

    def _cells(self) -> list[str]:
        """The place of a cell: in the tile, and as the indices of the nest."""
        lines = []
        axes = self._axes
        for k, axis in enumerate(axes):
            inner = " * ".join(f"width_{a}" for a in axes[k + 1 :])
            place = f"cell / ({inner})" if inner else "cell"
            place = place if k == 0 else f"{place} % width_{axis}"
            lines.append(f"const int cell_{axis} = {place};")
        for axis, r, low in zip(axes, self.stencil.nest.ranges, self.stencil.low, strict=True):
            lines.append(f"const int64_t {r.name} = tile_{axis} + cell_{axis} - {low} * {TIME};")
        inside = " && ".join(
            f"{r.name} >= 0 && {r.name} < {_text(r.extent)}" for r in self.stencil.nest.ranges
        )
        return [*lines, f"const bool is_inside = {inside};"]

    def _taken(self) -> list[str]:
        """The arrays taken to shared memory: states, and what lies around the one to come."""
        ranges, offsets = self.stencil.nest.ranges, self.stencil.offsets
        there = []
        for r, offset, extent in zip(ranges, offsets, self.array.shape, strict=True):
            here = affine.plus(affine.symbol(r.name), affine.constant(offset))
            there.append(f"{_text(here)} >= 0 && {_text(here)} < {_text(extent)}")
        element = self.stencil.store.indices
        past = () if self.stencil.past is None else (self.stencil.past,)
        states = [self.thread.expressions.access(a, element) for a in (*past, self.stencil.old)]
        new = self.thread.expressions.access(self.stencil.new, element)
        zero = "{}"
        kind = cuda_type(self.array.dtype)
        lines = [
            *self._cells(),
            f"const bool is_there = {' && '.join(there)};",
            *(
                f"levels[{k}][cell] = is_there ? {state} : {kind}{zero};"
                for k, state in enumerate(states)
            ),
            f"levels[{len(states)}][cell] = is_there && !is_inside ? {new} : {kind}{zero};",
        ]
        return nested([self._over_cells()], lines)

    def _over_cells(self) -> str:
        return f"for (int cell = threadIdx.x; cell < cells; cell += {THREADS})"

    def _steps(self) -> list[str]:
        reached = [
            f"cell_{a} >= {low} * step && cell_{a} < width_{a} - {high} * step"
            for a, low, high in zip(self._axes, self.stencil.low, self.stencil.high, strict=True)
        ]
        kind = cuda_type(self.array.dtype)
        body = tuple(s for s in self.stencil.nest.body if s is not self.stencil.store)
        value = Assign("updated", self.stencil.store.value)
        moved = walk.with_expressions((*body, value), self._moved)
        element = self.stencil.store.indices
        last = [f"{self.thread.expressions.access(self.stencil.new, element)} = updated;"]
        if self.stencil.past is not None:
            last.append(f"{self.thread.expressions.access(self.spare, element)} = before[cell];")
        update = [
            *self.thread.scope(moved),
            f"if (step == {TIME}) {{",
            *indented(last),
            "} else {",
            *indented(["after[cell] = updated;"]),
            "}",
        ]
        guarded = [
            *self._cells(),
            f"if (is_inside && {' && '.join(reached)}) {{",
            *indented(update),
            "}",
        ]
        count = self._states
        after, before = ("step", "(step - 1)") if count == 2 else ("(step + 1)", "step")
        states = [f"const {kind} *before = levels[{before} % {count}];"]
        if self.stencil.past is not None:
            states.append(f"const {kind} *past = levels[(step - 1) % {count}];")
        return nested(
            [f"for (int step = 1; step <= {TIME}; step++)"],
            [
                *states,
                f"{kind} *after = levels[{after} % {count}];",
                *nested([self._over_cells()], guarded),
                "__syncthreads();",
            ],
        )

    def _moved(self, e: Expression) -> Expression:
        """A part of the value, which finds the states in shared memory."""
        if not isinstance(e, Load) or e.array not in (self.stencil.old, self.stencil.past):
            return e
        distance: dict[str, int] = {"cell": 1}
        reach = self.stencil.reach(e)
        for k, far in enumerate(reach[:-1]):
            distance["*".join(f"width_{a}" for a in self._axes[k + 1 :])] = far
        state = "before" if e.array == self.stencil.old else "past"
        return Load(state, (Position(affine.linear(distance, reach[-1])),), e.dtype)


def _text(n: Affine) -> str:
    return affine.text(n).replace("*", " * ")
