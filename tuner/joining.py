"""Enumeration of a search space by joining partial products.

Parameters that share a constraint are joined one after another, and a partial product is filtered
as soon as a constraint's parameters are all bound. Groups of parameters that share no constraint
are joined apart and multiplied in the end. A point travels as its *code*: the number that its
value indices are the digits of, so that codes in order are points in lexicographic order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, prod

import numpy as np

from outpace.codegen.constraints import Constraint
from outpace.codegen.expressions import Array

CHUNK = 1 << 16
"""Candidates that are filtered at a time; what this needs stays in the cache."""
WIDEST = 1 << 16
"""Combinations of neighbouring parameters that are decoded with one table."""


def strides_of(counts: Sequence[int]) -> list[int]:
    """What one step of each value index adds to the code."""
    return [prod(counts[i + 1 :]) for i in range(len(counts))]


def index_dtype(counts: Sequence[int]) -> np.dtype[np.unsignedinteger]:
    """Smallest integers that hold every value index."""
    return np.min_scalar_type(max(counts, default=1) - 1)


def joined(counts: Sequence[int], constraints: Sequence[Constraint], most: int) -> Array | None:
    """Codes of all valid points in ascending order.

    Args:
        counts: Number of values of each parameter; their product is below 2**63.
        constraints: All must hold.
        most: Points to enumerate at most; twice as many in a partial product.

    Returns:
        64-bit integers, or None if there are more.
    """
    strides = strides_of(counts)
    groups = []
    for members in _groups(len(counts), constraints):
        within = [c for c in constraints if c.scope[0] in members]
        codes = _join_group(sorted(members), within, counts, strides, 2 * most)
        if codes is None:
            return None
        groups.append(codes)
    if prod(len(codes) for codes in groups) > most:
        return None
    # The most significant group first, so that their product is often in order already.
    product = np.zeros(1, np.int64)
    for codes in sorted(groups, key=lambda c: -int(c[-1]) if len(c) else 0):
        product = (product[:, None] + codes).ravel()
    if not (product[1:] > product[:-1]).all():
        product.sort()
    return product


def decoded(codes: Array, counts: Sequence[int]) -> Array:
    """Points of these codes, (n, P) value indices.

    Neighbouring parameters whose combinations fit into a small table are looked up together, and
    their indices are copied as one item.
    """
    dtype = index_dtype(counts)
    if not counts:
        return np.empty((len(codes), 0), dtype)
    blocks = _blocks(counts)
    starts = np.cumsum([0, *(len(block) for block in blocks)])
    items = [np.dtype((np.void, dtype.itemsize * len(block))) for block in blocks]
    names = [f"block{i}" for i in range(len(blocks))]
    offsets = [int(start) * dtype.itemsize for start in starts[:-1]]
    rows = np.empty(len(codes), np.dtype({"names": names, "formats": items, "offsets": offsets}))
    tables = [
        _digits(block, dtype).view(item).ravel() for block, item in zip(blocks, items, strict=True)
    ]
    # Division by a constant is ten times as fast in 32 bits.
    narrow = np.uint32 if prod(counts) <= 2**32 else np.int64
    for first in range(0, len(codes), CHUNK):
        chunk = slice(first, first + CHUNK)
        rest = codes[chunk].astype(narrow)
        for name, table in reversed(list(zip(names, tables, strict=True))):
            higher = np.floor_divide(rest, len(table), dtype=narrow)
            rows[name][chunk] = table.take(rest - higher * narrow(len(table)), mode="clip")
            rest = higher
    return rows.view(dtype).reshape(len(codes), len(counts))


def _blocks(counts: Sequence[int]) -> list[tuple[int, ...]]:
    """The parameters' counts in blocks of 8, 4, 2 or 1, which are copied as machine words."""
    blocks: list[tuple[int, ...]] = []
    rest = tuple(counts)
    while rest:
        fitting = (n for n in (8, 4, 2) if n <= len(rest) and prod(rest[:n]) <= WIDEST)
        length = next(fitting, 1)
        blocks.append(rest[:length])
        rest = rest[length:]
    return blocks


def _digits(counts: tuple[int, ...], dtype: np.dtype[np.unsignedinteger]) -> Array:
    """Value indices of every combination of a few parameters, in order."""
    return np.indices(counts, dtype).reshape(len(counts), -1).T.copy()


def _groups(count: int, constraints: Sequence[Constraint]) -> list[set[int]]:
    """Parameters that are connected by constraints."""
    groups = [{i} for i in range(count)]
    for constraint in constraints:
        touched = [group for group in groups if not group.isdisjoint(constraint.scope)]
        groups = [group for group in groups if group.isdisjoint(constraint.scope)]
        groups.append(set().union(*touched))
    return groups


# --- one group ----------------------------------------------------------------------------------


@dataclass
class _Partial:
    """Partial products: their codes, and the value indices that later constraints need."""

    codes: Array
    columns: dict[int, Array]


@dataclass(frozen=True)
class _Step:
    """One parameter joins: which, with how many values, and what is filtered then."""

    parameter: int
    count: int
    stride: int
    constraints: list[Constraint]
    needed: set[int]
    """Parameters that constraints of later steps need."""


def _join_group(
    members: Sequence[int],
    constraints: Sequence[Constraint],
    counts: Sequence[int],
    strides: Sequence[int],
    most: int,
) -> Array | None:
    partial = _Partial(np.zeros(1, np.int64), {})
    for step in _steps(members, constraints, counts, strides):
        widened = _widen(partial, step, most)
        if widened is None:
            return None
        partial = widened
    return partial.codes


def _steps(
    members: Sequence[int],
    constraints: Sequence[Constraint],
    counts: Sequence[int],
    strides: Sequence[int],
) -> list[_Step]:
    order = _order(members, constraints, counts)
    place = {parameter: i for i, parameter in enumerate(order)}
    bound_at = [max(place[p] for p in c.scope) for c in constraints]
    steps = []
    for i, parameter in enumerate(order):
        now = [c for c, at in zip(constraints, bound_at, strict=True) if at == i]
        later = [c for c, at in zip(constraints, bound_at, strict=True) if at > i]
        needed = {p for c in later for p in c.scope}
        steps.append(_Step(parameter, counts[parameter], strides[parameter], now, needed))
    return steps


def _order(
    members: Sequence[int], constraints: Sequence[Constraint], counts: Sequence[int]
) -> list[int]:
    """Greedy: next is the constraint after which the fewest partial products are expected."""
    order: list[int] = []
    open_ = list(constraints)
    while open_:
        chosen = min(open_, key=lambda c: _growth(c, order, counts))
        # The longest comes last, where the filter sees it before it is multiplied out.
        order += sorted((p for p in chosen.scope if p not in order), key=lambda p: counts[p])
        open_ = [c for c in open_ if not set(c.scope) <= set(order)]
    return order + [p for p in members if p not in order]


def _growth(constraint: Constraint, order: Sequence[int], counts: Sequence[int]) -> float:
    """Logarithm of the factor by which binding a constraint multiplies the partial products."""
    added = sum(log(counts[p]) for p in constraint.scope if p not in order)
    if constraint.table is None:
        return added
    return added + log(max(float(constraint.table.mean()), 1e-12))


def _widen(partial: _Partial, step: _Step, most: int) -> _Partial | None:
    """Multiply with one parameter's values and filter; None if more than `most` are left."""
    filters = [_Filter(constraint, step.parameter) for constraint in step.constraints]
    kept = {p for p in partial.columns if p in step.needed}
    pieces: list[_Partial] = []
    total = 0
    rows = max(1, CHUNK // step.count)
    for first in range(0, len(partial.codes), rows):
        codes = partial.codes[first : first + rows]
        columns = {p: column[first : first + rows] for p, column in partial.columns.items()}
        if filters:
            mask = filters[0].mask(columns)
            for other in filters[1:]:
                mask = mask & other.mask(columns)
            flat = np.flatnonzero(mask)
        else:
            flat = np.arange(len(codes) * step.count)
        total += len(flat)
        if total > most:
            return None
        pieces.append(_picked(codes, columns, flat, step, kept))
    names = pieces[0].columns if pieces else {}
    return _Partial(
        np.concatenate([piece.codes for piece in pieces] or [partial.codes]),
        {p: np.concatenate([piece.columns[p] for piece in pieces]) for p in names},
    )


def _picked(
    codes: Array, columns: dict[int, Array], flat: Array, step: _Step, kept: set[int]
) -> _Partial:
    """Partial products by their places in the table of old ones times new values."""
    rows = flat.astype(np.uint32) // np.uint32(step.count)
    values = flat - rows * np.int64(step.count)
    # `take` with a mode is several times as fast as indexing: it checks no bounds.
    picked = {p: columns[p].take(rows, mode="clip") for p in kept}
    if step.parameter in step.needed:
        picked[step.parameter] = values.astype(np.min_scalar_type(step.count - 1))
    return _Partial(codes.take(rows, mode="clip") + values * step.stride, picked)


class _Filter:
    """A constraint whose last parameter is about to be bound."""

    def __init__(self, constraint: Constraint, last: int) -> None:
        self._constraint = constraint
        self._last = last
        self._before = [p for p in constraint.scope if p != last]
        self._counts = dict(zip(constraint.scope, constraint.counts, strict=True))
        self._rows: Array | None = None
        if constraint.table is not None:
            axes = [constraint.scope.index(p) for p in (*self._before, last)]
            self._rows = constraint.table.transpose(axes).reshape(-1, self._counts[last])

    def mask(self, columns: dict[int, Array]) -> Array:
        """(rows, values) booleans for partial products with these columns."""
        if self._rows is not None:
            which = np.zeros(1, np.intp)
            for p in self._before:
                which = which * self._counts[p] + columns[p]
            return self._rows.take(which, axis=0, mode="clip") if self._before else self._rows
        values = np.arange(self._counts[self._last])
        return self._constraint.holds_at(
            [values if p == self._last else columns[p][:, None] for p in self._constraint.scope]
        )
