"""A stencil by tiles: a block goes some steps in shared memory before it writes.

It takes its cells and so many around them as these steps depend on; it computes some of them, too.
Cells that the stencil does not write keep their values. These may differ between the two arrays of
a time loop; as in these, states of even and of odd number have their own, and the number of steps
is odd, so that the last state is where it would be after single steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.cuda.expressions import cuda_type
from outpace.codegen.nests.cuda.grids import Grid, Host
from outpace.codegen.nests.cuda.parameters import MOST_SHARED, THREADS, TILES, TIME
from outpace.codegen.nests.cuda.stencils import Stencil
from outpace.codegen.nests.cuda.threads import Thread, indented, nested
from outpace.codegen.nests.ir import Array, Assign, Expression, Load, Position

NAMES = frozenset(
    {"levels", "before", "after", "cell", "step", "updated", "is_inside", "is_there"}
    | {f"{name}_{axis}" for name in ("tile", "width", "cell", "place") for axis in "zyx"}
)
"""Names in the text below."""


@dataclass(frozen=True)
class Tiles:
    """Writes the kernel of a stencil.

    Attributes:
        stencil: The step.
        array: The array that is read.
        thread: Writes what each thread does by itself.
        host: Writes an integer for the launch plan.
    """

    stencil: Stencil
    array: Array
    thread: Thread
    host: Host

    @property
    def constraint(self) -> str:
        """What must hold, so that two states fit into the shared memory of a block."""
        widths = [
            f"({tile} + {r} * {TIME})" for tile, r in zip(self._tiles, self._reaches, strict=True)
        ]
        size = 2 * np.dtype(self.array.dtype).itemsize
        return f"{' * '.join(widths)} * {size} <= {MOST_SHARED}"

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
        return Grid(heads, (), tuple(counts), (THREADS,), THREADS, macros)

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
            f"__shared__ {kind} levels[2][{cells}];",
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
        """Both arrays taken to shared memory: the state, and what lies around the other one."""
        ranges, offsets = self.stencil.nest.ranges, self.stencil.offsets
        there = []
        for r, offset, extent in zip(ranges, offsets, self.array.shape, strict=True):
            here = affine.plus(affine.symbol(r.name), affine.constant(offset))
            there.append(f"{_text(here)} >= 0 && {_text(here)} < {_text(extent)}")
        element = self.stencil.store.indices
        old = self.thread.expressions.access(self.stencil.old, element)
        new = self.thread.expressions.access(self.stencil.new, element)
        zero = "{}"
        kind = cuda_type(self.array.dtype)
        lines = [
            *self._cells(),
            f"const bool is_there = {' && '.join(there)};",
            f"levels[0][cell] = is_there ? {old} : {kind}{zero};",
            f"levels[1][cell] = is_there && !is_inside ? {new} : {kind}{zero};",
        ]
        return nested([self._over_cells()], lines)

    def _over_cells(self) -> str:
        cells = " * ".join(f"width_{a}" for a in self._axes)
        return f"for (int cell = threadIdx.x; cell < {cells}; cell += {THREADS})"

    def _steps(self) -> list[str]:
        reached = [
            f"cell_{a} >= {low} * step && cell_{a} < width_{a} - {high} * step"
            for a, low, high in zip(self._axes, self.stencil.low, self.stencil.high, strict=True)
        ]
        kind = cuda_type(self.array.dtype)
        body = tuple(s for s in self.stencil.nest.body if s is not self.stencil.store)
        value = Assign("updated", self.stencil.store.value)
        moved = walk.with_expressions((*body, value), self._moved)
        target = self.thread.expressions.access(self.stencil.new, self.stencil.store.indices)
        update = [
            *self.thread.scope(moved),
            f"if (step == {TIME})",
            *indented([f"{target} = updated;"]),
            "else",
            *indented(["after[cell] = updated;"]),
        ]
        guarded = [
            *self._cells(),
            f"if (is_inside && {' && '.join(reached)}) {{",
            *indented(update),
            "}",
        ]
        return nested(
            [f"for (int step = 1; step <= {TIME}; step++)"],
            [
                f"const {kind} *before = levels[(step - 1) % 2];",
                f"{kind} *after = levels[step % 2];",
                *nested([self._over_cells()], guarded),
                "__syncthreads();",
            ],
        )

    def _moved(self, e: Expression) -> Expression:
        """A part of the value, which finds the state in shared memory."""
        if not isinstance(e, Load) or e.array != self.stencil.old:
            return e
        distance: dict[str, int] = {"cell": 1}
        reach = self.stencil.reach(e)
        for k, far in enumerate(reach[:-1]):
            distance["*".join(f"width_{a}" for a in self._axes[k + 1 :])] = far
        return Load("before", (Position(affine.linear(distance, reach[-1])),), e.dtype)


def _text(n: Affine) -> str:
    return affine.text(n).replace("*", " * ")
