"""Kernels of which every rank computes some rows, and hands rows that others read round a ring.

The reference is lifted to loop nests. A nest over a dim that writes row i in iteration i is run for
the rank's own rows alone. Where any other row of what it wrote is read later, by a sum over all
bodies for example, all rows are exchanged after it. What is no such nest, every rank does whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from outpace.codegen.drafters.builtin import numba_forms
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import (
    Allocate,
    Array,
    Expression,
    Library,
    Nest,
    Position,
    Program,
    Range,
    Rebind,
    Reduce,
    Reshape,
    Scalar,
    Statement,
)
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.numba.emit import NumbaOptions
from outpace.codegen.nests.numba.segments import segmented_source
from outpace.codegen.reference import Reference
from outpace.errors import NotLifted

FIRST, ROWS, EXCHANGE = "first_row", "own_rows", "exchange_rows"
"""What such a kernel takes after its outputs: its first row, their number, and a function that
fills in the rows of an array that other ranks own."""
_CALL = re.compile(rf"(\w+)\[\.\.\.\] = np\.{EXCHANGE}\(\)")


def rows_kernel(reference: Reference, dim: str, *, fastmath: bool = False) -> str:
    """A module that defines `kernel(<inputs>, <outputs>, first_row, own_rows, exchange_rows)`.

    All arrays are whole; inputs hold all rows, outputs are right in the own rows.

    Args:
        reference: The reference.
        dim: The dim that is cut.
        fastmath: Let sums be reordered.

    Raises:
        NotLifted: The reference is not lifted to loops, or no nest can be cut into rows.
    """
    _, form = next(iter(numba_forms(lift(reference))))
    body = Rows(form, dim, lambda array: Library(array.name, EXCHANGE, ())).body()
    given = tuple(Scalar(name, "int64") for name in (FIRST, ROWS, EXCHANGE))
    cut = replace(form, parameters=(*form.parameters, *given), body=body)
    source = segmented_source(cut, NumbaOptions(parallel=False, fastmath=fastmath))
    return _CALL.sub(rf"{EXCHANGE}(\1)", source)


class Rows:
    """Cuts the nests of a program.

    Args:
        program: The program.
        dim: The dim that is cut.
        exchange: Makes the statement after which rows of an array are those of all ranks.

    Raises:
        NotLifted: A name that is needed is taken, or an array is reshaped.
    """

    def __init__(self, program: Program, dim: str, exchange: Callable[[Array], Statement]) -> None:
        taken = walk.names_of(program) & {FIRST, ROWS, EXCHANGE}
        if taken:
            raise NotLifted(f"{', '.join(sorted(taken))} is taken; rename it")
        if any(isinstance(s, Reshape) for s in walk.statements(program.body)):
            raise NotLifted("an array that is reshaped cannot be cut into rows")
        self.program, self.extent, self.exchange = program, affine.symbol(dim), exchange
        arrays = {p.name: p for p in program.parameters if isinstance(p, Array)}
        made = (s.array for s in walk.statements(program.body) if isinstance(s, Allocate))
        arrays |= {array.name: array for array in made}
        self.by_rows = {n: a for n, a in arrays.items() if a.shape and a.shape[0] == self.extent}
        self.shared = self._same_memory(self._read_elsewhere(program.body))

    def body(self) -> tuple[Statement, ...]:
        """The statements for own rows.

        Raises:
            NotLifted: No nest can be cut.
        """
        body = tuple(self._block(self.program.body))
        if body == self.program.body:
            raise NotLifted("no loop of the reference writes one row in each iteration")
        return body

    def _block(self, body: Iterable[Statement]) -> Iterable[Statement]:
        for s in body:
            if not isinstance(s, Nest):
                yield walk.with_blocks(s, lambda inner: tuple(self._block(inner)))
            elif not self._is_by_rows(s):
                yield s
            else:
                yield self._own_rows(s)
                written = {store.array for store in walk.stores([s])}
                yield from (self.exchange(self.by_rows[n]) for n in sorted(written & self.shared))

    def _is_by_rows(self, nest: Nest) -> bool:
        """Whether iteration i writes nothing but rows i."""
        first = nest.ranges[0]
        if first.extent != self.extent:
            return False
        row = Position(affine.symbol(first.name))
        stores = list(walk.stores([nest]))
        inner = [r for s in walk.statements([nest]) if isinstance(s, Nest) for r in s.ranges]
        return all(s.array in self.by_rows and s.indices[0] == row for s in stores) and all(
            first.name not in r.extent.names for r in inner
        )

    def _own_rows(self, nest: Nest) -> Nest:
        index = nest.ranges[0].name
        values = {index: affine.plus(affine.symbol(index), affine.symbol(FIRST))}

        def change(part: Expression) -> Expression:
            if isinstance(part, Position):
                return replace(part, value=affine.substituted(part.value, values))
            if isinstance(part, Reduce):
                ranges = tuple(
                    replace(r, extent=affine.substituted(r.extent, values)) for r in part.ranges
                )
                return replace(part, ranges=ranges)
            return part

        ranges = (Range(index, affine.symbol(ROWS)), *nest.ranges[1:])
        return Nest(ranges, walk.with_expressions(nest.body, change))

    def _read_elsewhere(self, body: Iterable[Statement]) -> set[str]:
        """Arrays of which rows are read that the reader may not own."""
        found: set[str] = set()
        for s in body:
            if isinstance(s, Nest):
                row = Position(affine.symbol(s.ranges[0].name)) if self._is_by_rows(s) else None
                loads = walk.loads([s])
                found |= {e.array for e in loads if row is None or e.indices[:1] != (row,)}
                continue
            own = [e for whole in walk.own_expressions(s) for e in walk.expressions(whole)]
            found |= {e.array for e in walk.loads([_without_blocks(s)])} if own else set()
            for block in walk.blocks(s):
                found |= self._read_elsewhere(block)
        return found & set(self.by_rows)

    def _same_memory(self, names: set[str]) -> set[str]:
        """These and the arrays that change places with them."""
        moves = [s for s in walk.statements(self.program.body) if isinstance(s, Rebind)]
        while (
            more := {
                n
                for m in moves
                for n in (*m.targets, *m.sources)
                if names & {*m.targets, *m.sources}
            }
            - names
        ):
            names = names | more
        return names


def _without_blocks(s: Statement) -> Statement:
    """The statement without what is in its blocks."""
    return walk.with_blocks(s, lambda _: ())
