"""Whether every step of a loop writes anew all that it ever writes of an array.

    for t: nest: new[i+1] = f(u)        for t: nest: new[i+1] = f(u)
           new[0] = new[1]                     new[0] = 0.5 * new[0]

On the left it does; on the right an element of two steps ago would be read. This is found by going
through one step at small sizes, for which elements are either of this step or older. Indices are
one range, a size or nothing, plus a constant, so that which of them meet no longer changes once
every extent exceeds the sum of the constants at both ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product

from outpace.codegen.dims import Affine
from outpace.codegen.nests import walk
from outpace.codegen.nests.ir import Array, Expression, Load, Nest, Position, Range, Reduce, Store

Element = tuple[int, ...]
_Axis = tuple[int, int, int]

_MOST_SIZES = 3
_MOST_CONSTANT = 3
"""Beyond these there would be too many sizes to go through."""


def least_extent(
    update: Nest, later: Sequence[Nest | Store], target: Array, sizes: Collection[str]
) -> int | None:
    """From which extents of the array on a step renews it; None if never, or if it is not known.

    Args:
        update: Begins the step; its one store is into the array, and it reads older ones only.
        later: All else in the step that touches the array.
        target: The array.
        sizes: Names that do not change.
    """
    every = [update, *later]
    forms = [e.value for e in _affine_parts(every)] + [*target.shape]
    ranges = {r.name for s in every if isinstance(s, Nest) for r in s.ranges}
    names = sorted({name for form in forms for name in form.names} - ranges)
    if not _is_simple(every, target.name, ranges) or not set(names) <= set(sizes):
        return None
    largest = max(abs(form.constant) for form in forms)
    if len(names) > _MOST_SIZES or largest > _MOST_CONSTANT:
        return None
    # Beyond this extent nothing new can happen; see above.
    enough = 2 * largest + 2
    least = 0
    for values in product(range(enough + 1), repeat=len(names)):
        at = dict(zip(names, values, strict=True))
        extents = [extent.evaluate(at) for extent in target.shape]
        if not _renews(update, later, target, at):
            least = max(least, min(extents) + 1)
    return least if least < enough else None


def _affine_parts(body: Sequence[Nest | Store]) -> Iterator[Position]:
    for s in walk.statements(body):
        if isinstance(s, Nest):
            yield from (Position(r.extent) for r in s.ranges)
        for own in walk.own_expressions(s):
            yield from (e for e in walk.expressions(own) if isinstance(e, Position))


def _is_simple(body: Sequence[Nest | Store], target: str, ranges: set[str]) -> bool:
    """Whether all is stores whose indices into the array have the form that is needed."""
    for s in walk.statements(body):
        if not isinstance(s, Nest | Store):
            return False
        for own in walk.own_expressions(s):
            if any(isinstance(e, Reduce) for e in walk.expressions(own)):
                return False
    extents = [r.extent for s in body if isinstance(s, Nest) for r in s.ranges]
    touched = [e.indices for e in walk.accesses(body) if e.array == target]
    return all(_is_plain(extent, ()) for extent in extents) and all(
        isinstance(i, Position) and _is_plain(i.value, ranges) for own in touched for i in own
    )


def _is_plain(form: Affine, ranges: Collection[str]) -> bool:
    """Whether it is a constant, perhaps plus one name; a range may also count from the end."""
    factors = [factor for name, factor in form.terms if name not in ranges]
    moving = [factor for name, factor in form.terms if name in ranges]
    if factors not in ([], [1]):
        return False
    return moving in ([], [1]) if not factors else moving in ([], [-1])


def _renews(
    update: Nest, later: Sequence[Nest | Store], target: Array, at: Mapping[str, int]
) -> bool:
    """Whether a step at these sizes leaves nothing old that it writes at other times."""
    extents = [extent.evaluate(at) for extent in target.shape]
    written = set(_written([update, *later], target.name, at))
    if any(not 0 <= i < n for place in written for i, n in zip(place, extents, strict=True)):
        return False
    new = set(_written([update], target.name, at))
    for place, read in _stores(later, target.name, at):
        is_old = any(one in written and one not in new for one in read)
        if place is not None:
            new = new - {place} if is_old else new | {place}
        elif is_old:
            return False
    return new == written


def _written(body: Sequence[Nest | Store], target: str, at: Mapping[str, int]) -> Iterator[Element]:
    yield from (place for place, _ in _stores(body, target, at) if place is not None)


def _stores(
    body: Sequence[Nest | Store], target: str, at: Mapping[str, int]
) -> Iterator[tuple[Element | None, list[Element]]]:
    """Of every store that is done where it is in the array, if there, and what it reads of it."""
    for s in body:
        ranges: tuple[Range, ...] = s.ranges if isinstance(s, Nest) else ()
        order = {r.name: k for k, r in enumerate(ranges)}
        stores = [
            (
                _axes(store.indices, order, at) if store.array == target else None,
                [
                    _axes(e.indices, order, at)
                    for own in walk.own_expressions(store)
                    for e in walk.expressions(own)
                    if isinstance(e, Load) and e.array == target
                ],
            )
            for store in walk.stores([s])
        ]
        for point in product(*(range(max(r.extent.evaluate(at), 0)) for r in ranges)):
            for into, reads in stores:
                place = None if into is None else _place(into, point)
                yield place, [_place(axes, point) for axes in reads]


def _axes(
    indices: Sequence[Expression], order: Mapping[str, int], at: Mapping[str, int]
) -> list[_Axis]:
    """Each index at these sizes: a number, and which range moves it how far."""
    found: list[_Axis] = []
    for e in indices:
        assert isinstance(e, Position)
        moving = [(order[name], factor) for name, factor in e.value.terms if name in order]
        base = e.value.evaluate({**at, **dict.fromkeys(order, 0)})
        found.append((base, *(moving[0] if moving else (0, 0))))
    return found


def _place(axes: Sequence[_Axis], point: Element) -> Element:
    return tuple(base + (factor and factor * point[k]) for base, k, factor in axes)
