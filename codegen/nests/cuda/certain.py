"""Which elements may be loaded ahead: those that an iteration loads whatever the data are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

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
    Reduce,
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
    here = {r.name: r.extent for r in ranges}
    for e in values:
        for load in walk.expressions(e):
            if isinstance(load, Load) and all(
                isinstance(i, Position) and any(i == _at(n) and here[n] == extent for n in here)
                for i, extent in zip(load.indices, arrays[load.array].shape, strict=True)
            ):
                found.add(load)
    return found


def _at(name: str) -> Position:
    return Position(affine.symbol(name))


def _always(e: Expression) -> Iterator[Load]:
    """Loads without which the expression has no value."""
    match e:
        case Load(indices=indices):
            yield e
            parts: tuple[Expression, ...] = indices
        case Apply(op=op, operands=operands):
            parts = operands[:1] if op in _LAZY else operands
        case Cast(operand=operand):
            parts = (operand,)
        case Reduce(body=body):
            parts = (body,)
        case _:
            parts = ()
    for part in parts:
        yield from _always(part)
