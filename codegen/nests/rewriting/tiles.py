"""Nests of sums, such as matrix products, in which a tile of results can be kept in registers.

In `c[i, j] = sum over k of a[i, k] * b[k, j]` the last index walks through memory and the summed
one does not. So several j are summed side by side, and several i share what they load of b. The
terms of each sum keep their order.
"""

from __future__ import annotations

from dataclasses import dataclass

from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import (
    Assign,
    Expression,
    Load,
    Nest,
    Position,
    Range,
    Reduce,
    Reduction,
    Store,
    Variable,
)

FEWEST_COLUMNS = 8
"""Where there are fewer, they are not worth a tile."""


@dataclass(frozen=True)
class Tile:
    """A nest whose results are computed by tiles.

    Attributes:
        outer: Ranges around the tiles.
        rows: The range of which a tile takes several, or None.
        columns: The last range, of which it takes several side by side.
        total: The sum.
        store: The statement that uses it.
    """

    outer: tuple[Range, ...]
    rows: Range | None
    columns: Range
    total: Reduce
    store: Store


def tile_of(nest: Nest) -> Tile | None:
    """The nest by tiles, if that makes its accesses contiguous."""
    store = _single_store(nest)
    total = _only_sum(store) if store is not None else None
    columns = nest.ranges[-1]
    if store is None or total is None or not _is_wide(columns):
        return None
    names = {r.name for r in nest.ranges}
    if any(set(r.extent.names) & names for r in (*total.ranges, *nest.ranges)):
        return None
    if not _side_by_side(total, columns.name):
        return None
    before = nest.ranges[:-1]
    if before and _shares(total, before[-1].name, columns.name):
        return Tile(before[:-1], before[-1], columns, total, store)
    return Tile(before, None, columns, total, store)


def _is_wide(r: Range) -> bool:
    return bool(r.extent.terms) or r.extent.constant >= FEWEST_COLUMNS


def _only_sum(store: Store) -> Reduce | None:
    """The sum of a statement that has no other reduction."""
    found = [
        e
        for own in walk.own_expressions(store)
        for e in walk.expressions(own)
        if isinstance(e, Reduce)
    ]
    if len(found) != 1 or found[0].kind is not Reduction.SUM:
        return None
    return None if found[0].dtype.startswith("complex") else found[0]


def _single_store(nest: Nest) -> Store | None:
    """The only store of a nest, with the scalars before it in their places."""
    if not nest.body:
        return None
    *scalars, store = nest.body
    if not isinstance(store, Store):
        return None
    for s in reversed(scalars):
        if not isinstance(s, Assign):
            return None
        uses = [
            e
            for own in walk.own_expressions(store)
            for e in walk.expressions(own)
            if isinstance(e, Variable) and e.name == s.name
        ]
        if len(uses) > 1:
            return None
        (replaced,) = walk.with_expressions((store,), _replacing(s))
        assert isinstance(replaced, Store)
        store = replaced
    return store


def _replacing(s: Assign) -> walk.Rewrite:
    def change(e: Expression) -> Expression:
        return s.value if isinstance(e, Variable) and e.name == s.name else e

    return change


def _side_by_side(total: Reduce, column: str) -> bool:
    """Whether a column is contiguous where it occurs, and what is summed is not."""
    summed = {r.name for r in total.ranges}
    found = False
    for e in _loads(total):
        if not all(isinstance(i, Position) for i in e.indices):
            return False
        places = [i.value for i in e.indices if isinstance(i, Position)]
        if any(affine.factor_of(p, column) for p in places[:-1]):
            return False
        factor = affine.factor_of(places[-1], column) if places else 0
        if factor not in (0, 1) or (factor and set(places[-1].names) & summed):
            return False
        found = found or factor == 1
    return found


def _shares(total: Reduce, row: str, column: str) -> bool:
    """Whether rows load the same in some column."""
    return any(column in _names(e) and row not in _names(e) for e in _loads(total))


def _loads(total: Reduce) -> list[Load]:
    return [e for e in walk.expressions(total.body) if isinstance(e, Load)]


def _names(e: Expression) -> set[str]:
    return walk.names_in(e)
