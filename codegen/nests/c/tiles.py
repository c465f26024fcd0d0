"""A nest of sums in C by tiles that stay in registers; see `rewriting.tiles`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.c.expressions import Expressions
from outpace.codegen.nests.c.parameters import COLUMNS, ROWS
from outpace.codegen.nests.ir import Expression, Range, Reduce, Variable
from outpace.codegen.nests.rewriting.tiles import Tile

NAMES = frozenset({"rows", "width", "sums", "tile_row", "tile_column", "total"})
"""Variables of the text below."""
_TAB = "    "
_UNROLLED = 8
"""Rows of a tile at most, each of which has registers of its own."""


@dataclass(frozen=True)
class TileWriter:
    """Writes a nest by tiles.

    Attributes:
        tile: The nest.
        expressions: Writes expressions.
        kind: Type in which sums are kept.
        head: Writes the head of the loop over a range.
    """

    tile: Tile
    expressions: Expressions
    kind: str
    head: Callable[[Range], str]

    def lines(self) -> list[str]:
        """What is inside the outer ranges and the rows of the nest."""
        first, extent = self.tile.columns.name, _text(self.tile.columns.extent)
        width = f"{extent} - {first} < {COLUMNS} ? {extent} - {first} : {COLUMNS}"
        is_full = f"width == {COLUMNS}"
        lines = []
        if self.tile.rows is not None:
            rows, most = self.tile.rows.name, _text(self.tile.rows.extent)
            lines.append(
                f"const int64_t rows = {most} - {rows} < {ROWS} ? {most} - {rows} : {ROWS};"
            )
            is_full = f"rows == {ROWS} && {is_full}"
        return [
            *lines,
            f"for (int64_t {first} = 0; {first} < {extent}; {first} += {COLUMNS}) {{",
            f"{_TAB}const int64_t width = {width};",
            f"{_TAB}if ({is_full}) {{",
            *(_TAB * 2 + line for line in self._sums(COLUMNS, ROWS)),
            f"{_TAB}}} else {{",
            *(_TAB * 2 + line for line in self._sums("width", "rows")),
            f"{_TAB}}}",
            "}",
        ]

    def _sums(self, width: str, rows: str) -> list[str]:
        """A tile of so many columns and rows; constants make it stay in registers."""
        count = ROWS if self.tile.rows is not None else "1"
        row = "tile_row" if self.tile.rows is not None else "0"
        total = self.tile.total
        body = self.expressions.text(self._moved(total.body))
        unroll = [f"#pragma GCC unroll {_UNROLLED}"] if rows == ROWS else []
        step = self._over(rows, width, f"sums[{row}][tile_column] += {body};", unroll)
        for depth in range(len(total.ranges) - 1, -1, -1):
            step = [f"{self.head(total.ranges[depth])} {{", *(_TAB + s for s in step), "}"]
        store = self.tile.store
        value = self._moved(walk.rewritten(store.value, self._sum))
        target = self.expressions.access(store.array, [self._moved(i) for i in store.indices])
        total_here = f"const {self.kind} total = sums[{row}][tile_column];"
        result = f"{{ {total_here} {target} = {self.expressions.text(value)}; }}"
        return [
            f"{self.kind} sums[{count}][{COLUMNS}];",
            *self._over(rows, width, f"sums[{row}][tile_column] = 0;", unroll),
            *step,
            *self._over(rows, width, result, unroll),
        ]

    def _over(self, rows: str, width: str, line: str, unroll: list[str]) -> list[str]:
        """A statement for all columns and rows of a tile."""
        inner = [
            "#pragma omp simd",
            f"for (int64_t tile_column = 0; tile_column < {width}; tile_column++)",
            f"{_TAB}{line}",
        ]
        if self.tile.rows is None:
            return inner
        head = f"for (int64_t tile_row = 0; tile_row < {rows}; tile_row++)"
        return [*unroll, head, *(_TAB + part for part in inner)]

    def _moved(self, e: Expression) -> Expression:
        """An expression of the first element of a tile, for another one."""
        return walk.shifted(e, self._moves())

    def _moves(self) -> Mapping[str, Affine]:
        columns, rows = self.tile.columns.name, self.tile.rows
        moves = {columns: affine.plus(affine.symbol(columns), affine.symbol("tile_column"))}
        if rows is not None:
            moves[rows.name] = affine.plus(affine.symbol(rows.name), affine.symbol("tile_row"))
        return moves

    def _sum(self, e: Expression) -> Expression:
        return Variable("total", e.dtype) if isinstance(e, Reduce) else e


def _text(a: Affine) -> str:
    text = affine.text(a).replace("*", " * ")
    return text if text.isidentifier() or text.isdigit() else f"({text})"
