"""Which elements may be loaded ahead: those that an iteration loads whatever the data are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import (
    Apply,
    Array,
    Cast,
    Expression,
    Load,
    Op,
    Position,
    Range,
)

_LAZY = frozenset({Op.WHERE, Op.LOGICAL_AND, Op.LOGICAL_OR})
"""Operations that may leave operands after the first one alone, and with them places that are
not there."""


def certain_loads(
    values: Iterable[Expression], ranges: Sequence[Range], arrays: Mapping[str, Array]
) -> set[Load]:
    """Loads of these expressions that are always made, or always could be.

    Args:
        values: Expressions that are computed in every iteration.
        ranges: Of the iterations.
        arrays: By name.
    """
    values = tuple(values)
    found = {load for e in values for load in _always(e)}
    for e in values:
        for load in walk.expressions(e):
            if isinstance(load, Load) and is_within(load.indices, ranges, arrays[load.array]):
                found.add(load)
    return found


def is_within(indices: Sequence[Expression], ranges: Sequence[Range], array: Array) -> bool:
    """Whether an array has an element at these indices in every iteration, whatever the sizes.

    So it is where each is the index of a range, and so much more that the last one is still there.
    """
    return all(
        any(_ends_within(index, r, extent) for r in ranges)
        for index, extent in zip(indices, array.shape, strict=True)
    )


def _ends_within(index: Expression, r: Range, extent: Affine) -> bool:
    if not isinstance(index, Position):
        return False
    more = affine.minus(index.value, affine.symbol(r.name))
    room = affine.minus(extent, affine.plus(r.extent, more))
    return not more.terms and more.constant >= 0 and not room.terms and room.constant >= 0


def _always(e: Expression) -> Iterator[Load]:
    """Loads without which the expression has no value; a reduction may be of nothing."""
    match e:
        case Load(indices=indices):
            yield e
            parts: tuple[Expression, ...] = indices
        case Apply(op=op, operands=operands):
            parts = operands[:1] if op in _LAZY else operands
        case Cast(operand=operand):
            parts = (operand,)
        case _:
            parts = ()
    for part in parts:
        yield from _always(part)
