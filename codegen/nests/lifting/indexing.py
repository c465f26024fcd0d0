"""Subscripts: what an index does to the shape of a value and to its elements.

Bounds of slices are clamped as NumPy does. Where that cannot be decided for all sizes, the length
becomes a size of its own, computed at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import EllipsisType

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Apply, Constant, Expression, Op, Position
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.values import (
    Indices,
    Lifted,
    Value,
    as_affine,
    broadcast,
    cast,
    element,
)
from outpace.errors import NotLifted


@dataclass(frozen=True)
class Cut:
    """A slice with bounds not yet resolved."""

    start: Value | None
    stop: Value | None
    step: Value | None


Item = Cut | Lifted | EllipsisType
_Source = Callable[[Indices], Expression]
"""The index along one axis of the base, given the indices of the result."""


def subscript(builder: Builder, base: Value, items: Sequence[Item]) -> Value:
    """`base[items]` as a view, or as a gather where an item is an integer array.

    Raises:
        NotLifted: The form of the index is not supported.
    """
    parts = _without_ellipsis(items, len(base.shape))
    gathers = [i for i in parts if isinstance(i, Value) and i.is_array]
    gathered = _gathered_shape(gathers, parts)
    begin: int | None = None
    shape: list[Affine] = []
    sources: list[_Source] = []
    axis = 0
    for item in parts:
        if item is None:
            shape.append(affine.ONE)
            continue
        if axis == len(base.shape):
            raise NotLifted(f"{len(items)} indices for an array of {len(base.shape)} axes")
        extent = base.shape[axis]
        axis += 1
        if isinstance(item, Cut):
            length, source = _slice(builder, item, extent, len(shape))
            shape.append(length)
        elif gathers:
            if begin is None:
                begin = len(shape)
                shape += gathered
            source = _gather(builder, item, extent, (begin, begin + len(gathered)))
        else:
            source = _integer(builder, item, extent)
        sources.append(source)
    for extent in base.shape[axis:]:
        sources.append(_place(len(shape), affine.ZERO, 1))
        shape.append(extent)

    def at(indices: Indices) -> Expression:
        return base.at(tuple(source(indices) for source in sources))

    return Value(base.dtype, tuple(shape), at, storage=None if gathers else base.storage)


def _without_ellipsis(items: Sequence[Item], rank: int) -> list[Cut | Lifted]:
    found = [k for k, item in enumerate(items) if isinstance(item, EllipsisType)]
    if not found:
        return [item for item in items if not isinstance(item, EllipsisType)]
    used = sum(not isinstance(item, EllipsisType | None) for item in items)
    plain = [item for item in items if not isinstance(item, EllipsisType)]
    whole: list[Cut | Lifted] = [Cut(None, None, None)] * (rank - used)
    return [*plain[: found[0]], *whole, *plain[found[0] :]]


def _gathered_shape(gathers: Sequence[Value], parts: Sequence[Cut | Lifted]) -> tuple[Affine, ...]:
    """What index arrays, and integers between them, put in the place of their axes.

    Raises:
        NotLifted: A slice or None is between them, so that NumPy puts their axes first.
    """
    if not gathers:
        return ()
    if any(g.dtype == "bool" for g in gathers):
        raise NotLifted("a boolean mask selects a number of elements that depends on the data")
    places = [k for k, part in enumerate(parts) if isinstance(part, Value)]
    if places[-1] - places[0] >= len(places):
        raise NotLifted("index arrays on both sides of a slice")
    return broadcast(*(g.shape for g in gathers))


def _gather(builder: Builder, item: Lifted, extent: Affine, axes: tuple[int, int]) -> _Source:
    """The elements of an index array, which are on these axes of the result."""
    known = _checked_integers(item)
    return lambda indices: wrapped(builder, element(known, indices[slice(*axes)]), extent)


def _integer(builder: Builder, item: Lifted, extent: Affine) -> _Source:
    """An integer along an axis."""
    fixed = wrapped(builder, _checked_integers(item).scalar, extent)
    return lambda _: fixed


def _checked_integers(item: Lifted) -> Value:
    if not isinstance(item, Value) or item.dtype[0] not in "iu":
        raise NotLifted("an index that is neither an integer, a slice nor None")
    return item


def wrapped(builder: Builder, index: Expression, extent: Affine) -> Expression:
    """An index with negative values counted from the end."""
    known = as_affine(index)
    if known is not None:
        if builder.bounds.nonnegative(known):
            return Position(known)
        if not known.terms:
            return Position(affine.plus(extent, known))
        if affine.minus(extent, known) == affine.ONE:  # the last one; without one it raises
            return Position(known)
    if index.dtype[0] == "u":
        return index
    return Apply(Op.WRAP, (cast(index, "int64"), Position(extent)), "int64")


def _slice(builder: Builder, cut: Cut, extent: Affine, axis: int) -> tuple[Affine, _Source]:
    """Length of a slice, and the index it reads."""
    step = 1 if cut.step is None else _literal_step(cut.step)
    if step < 0:
        start = _first_of_back(builder, cut.start, extent)
        stop = _last_of_back(builder, cut.stop, extent)
        length = affine.minus(start, stop)
        if step < -1:
            length = ceiling_of(builder, length, -step)
        return length, _place(axis, start, step)
    start = affine.ZERO if cut.start is None else _start(builder, cut.start, extent)
    length = _length(builder, start, cut.stop, extent)
    if step > 1:
        length = ceiling_of(builder, length, step)
    return length, _place(axis, start, step)


def _first_of_back(builder: Builder, bound: Value | None, extent: Affine) -> Affine:
    """Where a slice with a negative step begins."""
    last = affine.minus(extent, affine.ONE)
    known = last if bound is None else builder.size(bound.scalar)
    if known == last:
        return last
    if not known.terms and known.constant < 0:
        return affine.plus(extent, known)  # if before the start, the length is 0
    if builder.bounds.nonnegative(known):
        if builder.bounds.nonnegative(affine.minus(last, known)):
            return known
        begin: Expression = Position(known)
    else:
        begin = _from_end(known, extent, lowest=-1)
    return builder.size(Apply(Op.MINIMUM, (begin, Position(last)), "int64"))


def _last_of_back(builder: Builder, bound: Value | None, extent: Affine) -> Affine:
    """What a slice with a negative step stops before."""
    if bound is None:
        return affine.constant(-1)
    known = builder.size(bound.scalar)
    if builder.bounds.nonnegative(known):
        return known
    turned = affine.plus(extent, known)
    if not known.terms and builder.bounds.nonnegative(affine.plus(turned, affine.ONE)):
        return turned
    return builder.size(_from_end(known, extent, lowest=-1))


def ceiling_of(builder: Builder, length: Affine, step: int) -> Affine:
    """How many steps fit into a length."""
    total = affine.plus(length, affine.constant(step - 1))
    known = affine.quotient(total, step)
    if known is not None:
        return known
    divided = Apply(Op.FLOOR_DIVIDE, (Position(total), Constant(step, "int64")), "int64")
    return builder.size(divided)


def _place(axis: int, start: Affine, step: int) -> _Source:
    def source(indices: Indices) -> Expression:
        known = as_affine(indices[axis])
        if known is not None:
            return Position(affine.plus(start, affine.times(known, step)))
        scaled = Apply(Op.MULTIPLY, (indices[axis], Constant(step, "int64")), "int64")
        return Apply(Op.ADD, (scaled, Position(start)), "int64")

    return source


def _literal_step(step: Value) -> int:
    known = as_affine(step.scalar)
    if known is None or known.terms or known.constant == 0:
        raise NotLifted("a slice whose step is not a literal")
    return known.constant


def _length(builder: Builder, start: Affine, stop: Value | None, extent: Affine) -> Affine:
    """`max(0, stop - start)`, where anything negative stands for 0."""
    if stop is None:
        return affine.minus(extent, start)
    end = builder.size(stop.scalar)
    if not end.terms and end.constant < 0:
        return affine.minus(affine.plus(extent, end), start)
    if _ends_short(builder, start, end, extent):
        return affine.minus(end, start)
    if builder.bounds.nonnegative(end):
        if not builder.bounds.nonnegative(affine.minus(extent, end)):
            smaller = Apply(Op.MINIMUM, (Position(end), Position(extent)), "int64")
            end = builder.size(smaller)
    else:
        smaller = Apply(Op.MINIMUM, (_from_end(end, extent), Position(extent)), "int64")
        end = builder.size(smaller)
    return affine.minus(end, start)


def _ends_short(builder: Builder, start: Affine, end: Affine, extent: Affine) -> bool:
    """Whether a slice up to `extent - c` needs no clamping, as none is where that is negative.

    There the stop is `2 extent - c` or 0, of which neither is beyond a start of `c - 2` or more.
    """
    short = affine.minus(extent, end)
    beyond = affine.plus(affine.minus(start, short), affine.constant(2))
    return builder.bounds.nonnegative(short) and builder.bounds.nonnegative(beyond)


def _start(builder: Builder, bound: Value, extent: Affine) -> Affine:
    """Where a slice begins; beyond the extent needs no clamping, as the length is negative then."""
    known = builder.size(bound.scalar)
    if builder.bounds.nonnegative(known):
        return known
    turned = affine.plus(extent, known)
    if not known.terms and builder.bounds.nonnegative(turned):
        return turned
    return builder.size(_from_end(known, extent))


def _from_end(bound: Affine, extent: Affine, lowest: int = 0) -> Expression:
    """A bound that may be negative, counted from the end, and `lowest` where that is before it."""
    zero = Constant(0, "int64")
    turned: Expression = Position(affine.plus(extent, bound))
    if bound.terms:
        negative = Apply(Op.LESS, (Position(bound), zero), "bool")
        turned = Apply(Op.WHERE, (negative, turned, Position(bound)), "int64")
    return Apply(Op.MAXIMUM, (turned, Constant(lowest, "int64")), "int64")
