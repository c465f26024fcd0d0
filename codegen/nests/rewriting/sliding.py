"""Keep from one row to the next what both compute.

    nest i < n, j < m, k < l:               nest i < n:
        out[i, j, k] = f(i, j+1, k)             kept[k] = f(i, 0, k)
                       - f(i, j, k)     ->      for j in 0, m:
                                                    ahead = f(i, j+1, k)
                                                    out[i, j, k] = ahead - kept[k]
                                                    kept[k] = ahead

Recomputed temporaries make expressions that occur again one row further on. A row of each is kept,
short enough for the first cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Array,
    Assign,
    Constant,
    Expression,
    If,
    Load,
    Loop,
    Nest,
    Op,
    Position,
    Program,
    Reduce,
    Statement,
    Store,
    Variable,
)
from outpace.codegen.nests.rewriting.share import always

Body = tuple[Statement, ...]

LEAST = 4
"""Operations of an expression that is worth a load and a store."""
LEAST_RANGES = 3
"""Threads need a range, rows another one, and elements of a row the last."""


def slid(program: Program) -> Program:
    """The program with nests that keep rows, where their expressions come again."""
    prefix = walk.unused_prefix(program, "row")
    aliases = dependence.aliases(program.body)
    count = 0

    def visit(s: Statement) -> Statement:
        nonlocal count
        if not isinstance(s, Nest):
            return walk.with_blocks(s, lambda body: tuple(visit(part) for part in body))
        sliding = _sliding(s, f"{prefix}{count}_", aliases)
        count += 1
        return s if sliding is None else _by_rows(s, sliding)

    return replace(program, body=tuple(visit(s) for s in program.body))


@dataclass(frozen=True)
class _Sliding:
    """The body of a nest with what it keeps.

    Attributes:
        kept: Arrays of one row, each with what it holds of the row that comes first.
        body: Statements of an iteration.
    """

    kept: tuple[tuple[Array, Expression], ...]
    body: Body


def _sliding(nest: Nest, prefix: str, aliases: Mapping[str, str]) -> _Sliding | None:
    """What a nest can keep, if anything."""
    if len(nest.ranges) < LEAST_RANGES or not all(isinstance(s, Store) for s in nest.body):
        return None
    names = {r.name for r in nest.ranges}
    stored = {aliases.get(s.array, s.array) for s in walk.stores(nest.body)}
    if any(set(r.extent.names) & names for r in nest.ranges):
        return None
    if stored & {aliases.get(e.array, e.array) for e in walk.loads(nest.body)}:
        return None
    row, element = nest.ranges[-2:]
    onward = {row.name: affine.plus(affine.symbol(row.name), affine.ONE)}
    here = (Position(affine.symbol(element.name)),)
    body: Body = nest.body
    kept: list[tuple[Array, Expression]] = []
    ends: list[Statement] = []
    while (found := _repeated(body, row.name, onward, prefix)) is not None:
        next_one = walk.shifted(found, onward)
        array = Array(f"{prefix}kept{len(kept)}", found.dtype, (element.extent,))
        ahead = Variable(f"{prefix}ahead{len(kept)}", found.dtype)
        values: dict[Expression, Expression] = {
            found: Load(array.name, here, found.dtype),
            next_one: ahead,
        }
        changed = walk.with_expressions(body, _replacing(values))
        place = next(k for k, (a, b) in enumerate(zip(body, changed, strict=True)) if a != b)
        made = Assign(ahead.name, next_one)
        body = (*changed[:place], made, *changed[place:])
        ends.append(Store(array.name, here, ahead))
        kept.append((array, found))
    return _Sliding(tuple(kept), (*body, *ends)) if kept else None


def _repeated(body: Body, row: str, onward: Mapping[str, Affine], prefix: str) -> Expression | None:
    """A largest expression that the next row computes again from what this one computes ahead."""
    every = [e for s in body for own in walk.own_expressions(s) for e in walk.expressions(own)]
    surely = {e for s in body for own in walk.own_expressions(s) for e in always(own)}
    found = [
        e
        for e in surely
        if _operations(e) >= LEAST
        and row in walk.names_in(e)
        and not _is_bound(e, prefix)
        and walk.shifted(e, onward) in surely
    ]
    return max(found, key=lambda e: (_operations(e), -every.index(e)), default=None)


def _is_bound(e: Expression, prefix: str) -> bool:
    """Whether an expression depends on a row that is kept, or is a loop."""
    return any(
        isinstance(part, Reduce)
        or (isinstance(part, Load) and part.array.startswith(prefix))
        or (isinstance(part, Variable) and part.name.startswith(prefix))
        for part in walk.expressions(e)
    )


def _replacing(values: Mapping[Expression, Expression]) -> walk.Rewrite:
    return lambda e: values.get(e, e)


def _operations(e: Expression) -> int:
    return sum(isinstance(part, Apply) for part in walk.expressions(e))


def _by_rows(nest: Nest, sliding: _Sliding) -> Nest:
    """The nest with a loop over its rows."""
    row, element = nest.ranges[-2:]
    zero, one = Constant(0, "int64"), Constant(1, "int64")
    here = (Position(affine.symbol(element.name)),)
    start = {row.name: affine.ZERO}
    first = tuple(Store(a.name, here, walk.shifted(e, start)) for a, e in sliding.kept)
    some = Apply(Op.GREATER, (Position(row.extent), zero), "bool")
    body: Body = (
        *(Allocate(array) for array, _ in sliding.kept),
        If(some, (Nest((element,), first),), ()),
        Loop(row.name, zero, Position(row.extent), one, (Nest((element,), sliding.body),)),
    )
    return Nest(nest.ranges[:-2], body)
