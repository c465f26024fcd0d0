"""Nests of sequential loops, of which several neighbours can go through the loops side by side.

Points of the last range are lanes: each straight part of the body is done for all lanes of a strip
before the next part begins. What a lane carries from one part to another is an element of an array.
A nest in the body is a part that every lane does by itself; then each lane has memory of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from itertools import groupby

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.c.scopes import is_fresh, mentions
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Array,
    Assign,
    Expression,
    If,
    Load,
    Loop,
    Nest,
    Op,
    Position,
    Range,
    Reduce,
    Statement,
    Store,
    Variable,
)

Body = tuple[Statement, ...]

LANE = "lane"
"""Index of a lane in its strip."""


class Lanes(Enum):
    """Where neighbouring lanes find what they touch as their loops go on."""

    APART = "far from each other"
    ALONG = "far from each other, and all that need not wait is done along each of them"
    TOGETHER = "side by side"
    NOWHERE = "nothing of their own: what changes is the same for all"


@dataclass(frozen=True)
class Strip:
    """A nest whose points go through sequential loops side by side.

    Attributes:
        outer: Ranges around the strips.
        lanes: The last range, which is cut into strips.
        arrays: What the lanes of a strip keep, its last axis over the lanes.
        carried: Scalars of the nest that outlive a straight part, as such arrays.
        body: Loops, nests and straight statements.
        kind: Where they find most of what they touch.
        pitches: By the name of a number of elements between two lanes, the longest array that is
            kept so, as it was without lanes.
    """

    outer: tuple[Range, ...]
    lanes: Range
    arrays: tuple[Array, ...]
    carried: tuple[Array, ...]
    body: Body
    kind: Lanes
    pitches: Mapping[str, Array]


def strip_of(nest: Nest, widths: Mapping[Lanes, str], pitch: str) -> Strip | None:
    """The nest by strips, if its body is loops of straight code and arrays for them.

    Args:
        nest: The nest.
        widths: Names of the number of lanes.
        pitch: With what the names of distances between lanes begin.
    """
    kind = lanes_of(nest)
    if kind is None:
        return None
    made = [s.array for s in nest.body if isinstance(s, Allocate)]
    body = _without_allocations(nest)
    lanes = affine.symbol(widths[kind])
    carried = tuple(Array(name, dtype, (lanes,)) for name, dtype in carried_scalars(body).items())
    pitches: dict[str, Array] = {}
    if kind is Lanes.ALONG:
        pitches = {f"{pitch}{k}": a for k, a in enumerate(_longest(made).values())}
        arrays = tuple(_lane_by_lane(a, lanes, pitches) for a in made)
    else:
        arrays = tuple(replace(a, shape=(*a.shape, lanes)) for a in made)
    own = {a.name: a.dtype for a in (*arrays, *carried)}
    changed = _by_lane(body, own, first=kind is Lanes.ALONG)
    return Strip(nest.ranges[:-1], nest.ranges[-1], arrays, carried, changed, kind, pitches)


def _longest(arrays: Iterable[Array]) -> dict[tuple[object, str], Array]:
    """Of arrays of one axis that differ by a fixed number of elements, the longest."""
    found: dict[tuple[object, str], Array] = {}
    for a in arrays:
        if len(a.shape) == 1:
            key = (a.shape[0].terms, a.dtype)
            found[key] = max(found.get(key, a), a, key=lambda other: other.shape[0].constant)
    return found


def _lane_by_lane(array: Array, lanes: Affine, pitches: Mapping[str, Array]) -> Array:
    """The array with the elements of each lane together, as far apart as the longest needs."""
    own = array.shape
    for name, longest in pitches.items():
        if (
            len(own) == 1
            and own[0].terms == longest.shape[0].terms
            and array.dtype == longest.dtype
        ):
            own = (affine.symbol(name),)
    return replace(array, shape=(lanes, *own))


def lanes_of(nest: Nest) -> Lanes | None:
    """Where lanes of a nest would find what they touch; None where it cannot be cut into strips.

    A loop that only sums what each lane finds in a place of its own is better vectorised itself.
    """
    made = [s.array for s in nest.body if isinstance(s, Allocate)]
    body = _without_allocations(nest)
    names = {r.name for r in nest.ranges}
    if not any(isinstance(s, Loop) for s in body) or not all(_is_regular(s) for s in body):
        return None
    inner = [r for s in _nests(body) for r in s.ranges]
    extents = [*(n for a in made for n in a.shape), *(r.extent for r in (*nest.ranges, *inner))]
    if any(set(n.names) & names for n in extents):
        return None
    if any(walk.names_in(e) & names for loop in _loops(body) for e in walk.own_expressions(loop)):
        return None
    kind = _kind(body, nest.ranges[-1].name, has_arrays=bool(made))
    if inner:
        return Lanes.ALONG if kind is Lanes.APART and _has_own_scalars(body) else None
    is_better_itself = kind is Lanes.APART and any(_is_sum(loop) for loop in _loops(body))
    return None if is_better_itself else kind


def _without_allocations(nest: Nest) -> Body:
    return tuple(s for s in nest.body if not isinstance(s, Allocate))


def _is_regular(s: Statement) -> bool:
    """Whether a statement is straight code or a loop of it."""
    if any(isinstance(e, Reduce) for own in walk.own_expressions(s) for e in walk.expressions(own)):
        return False
    if isinstance(s, Loop):
        bounds = (e for own in walk.own_expressions(s) for e in walk.expressions(own))
        return not any(isinstance(e, Load) for e in bounds) and all(map(_is_regular, s.body))
    if isinstance(s, If):
        return not any(isinstance(part, Loop) for part in walk.statements([s])) and all(
            _is_regular(part) for block in walk.blocks(s) for part in block
        )
    if isinstance(s, Nest):
        is_straight = all(isinstance(part, Store | Assign) for part in s.body)
        return len(s.ranges) == 1 and is_straight and all(map(_is_regular, s.body))
    return isinstance(s, Store | Assign)


def _loops(body: Body) -> list[Loop]:
    return [s for s in walk.statements(body) if isinstance(s, Loop)]


def _nests(body: Body) -> list[Nest]:
    return [s for s in walk.statements(body) if isinstance(s, Nest)]


def _has_own_scalars(body: Body) -> bool:
    """Whether nothing outside of the nests in a block needs a scalar that they assign."""
    assigned = {s.name for s in walk.statements(_nests(body)) if isinstance(s, Assign)}
    return not assigned & carried_scalars(body).keys()


def straight_parts(body: Body) -> Iterator[Loop | Body]:
    """Loops of a block, and the statements between them."""
    for is_loop, part in groupby(body, lambda s: isinstance(s, Loop)):
        if is_loop:
            yield from (s for s in part if isinstance(s, Loop))
        else:
            yield tuple(part)


def _every_part(body: Body) -> Iterator[Body]:
    """Straight parts without nests, and the bodies of nests, which have scalars of their own."""
    for is_block, part in groupby(body, lambda s: isinstance(s, Loop | Nest)):
        if is_block:
            for s in part:
                yield from _every_part(*walk.blocks(s))
        else:
            yield tuple(part)


def carried_scalars(body: Body) -> dict[str, str]:
    """Dtypes of scalars that some straight part of a block reads before it has set them."""
    parts = list(_every_part(body))
    kinds = {s.name: s.value.dtype for s in walk.statements(body) if isinstance(s, Assign)}
    return {
        name: dtype
        for name, dtype in kinds.items()
        if any(any(mentions(s, name) for s in part) and not is_fresh(name, part) for part in parts)
    }


def _is_sum(loop: Loop) -> bool:
    """Whether a loop does nothing but add to scalars."""
    sums = [s for s in loop.body if isinstance(s, Assign) and _adds_to(s)]
    return bool(sums) and all(isinstance(s, Assign) for s in loop.body)


def _adds_to(s: Assign) -> bool:
    match s.value:
        case Apply(op=Op.ADD, operands=operands):
            return Variable(s.name, s.value.dtype) in operands
        case _:
            return False


def _kind(body: Body, lane: str, *, has_arrays: bool) -> Lanes:
    """Where lanes find what they touch in their loops and nests."""
    loops, nests = _loops(body), _nests(body)
    moving = {loop.name for loop in loops} | {r.name for s in nests for r in s.ranges}
    touched = walk.accesses([*loops, *nests])
    apart = together = 0
    for e in touched:
        names = [walk.names_in(index) for index in e.indices]
        if not any(lane in own for own in names) or not set().union(*names) & moving:
            continue
        last = e.indices[-1]
        is_last = isinstance(last, Position) and affine.factor_of(last.value, lane) == 1
        if is_last and not any(lane in own for own in names[:-1]):
            together += 1
        else:
            apart += 1
    if apart > together:
        return Lanes.APART
    return Lanes.TOGETHER if together or has_arrays else Lanes.NOWHERE


def _by_lane(body: Body, own: Mapping[str, str], *, first: bool) -> Body:
    """The body with an element for the lane, by its first or last index, for what a lane keeps."""
    lane = Position(affine.symbol(LANE))

    def of_lane(indices: tuple[Expression, ...]) -> tuple[Expression, ...]:
        return (lane, *indices) if first else (*indices, lane)

    def change(e: Expression) -> Expression:
        if isinstance(e, Load) and e.array in own:
            return replace(e, indices=of_lane(e.indices))
        if isinstance(e, Variable) and e.name in own:
            return Load(e.name, (lane,), e.dtype)
        return e

    def stored(s: Statement) -> Statement:
        if isinstance(s, Store) and s.array in own:
            return replace(s, indices=of_lane(s.indices))
        if isinstance(s, Assign) and s.name in own:
            return Store(s.name, (lane,), s.value)
        return walk.with_blocks(s, lambda inner: tuple(stored(part) for part in inner))

    return tuple(stored(s) for s in walk.with_expressions(body, change))
