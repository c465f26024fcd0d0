"""Nests of sequential loops, of which several neighbours can go through the loops side by side.

Points of the last range are lanes: each straight part of the body is done for all lanes of a strip
before the next part begins. What a lane carries from one part to another is an element of an array.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

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
        body: Loops and straight statements.
        kind: Where they find most of what they touch.
    """

    outer: tuple[Range, ...]
    lanes: Range
    arrays: tuple[Array, ...]
    carried: tuple[Array, ...]
    body: Body
    kind: Lanes


def strip_of(nest: Nest, widths: Mapping[Lanes, str]) -> Strip | None:
    """The nest by strips, if its body is loops of straight code and arrays for them.

    A loop that only sums what each lane finds in a place of its own is better vectorised itself.

    Args:
        nest: The nest.
        widths: Names of the number of lanes.
    """
    made = [s.array for s in nest.body if isinstance(s, Allocate)]
    body = tuple(s for s in nest.body if not isinstance(s, Allocate))
    names = {r.name for r in nest.ranges}
    if not any(isinstance(s, Loop) for s in body) or not all(_is_regular(s) for s in body):
        return None
    if any(set(n.names) & names for a in made for n in a.shape):
        return None
    if any(set(r.extent.names) & names for r in nest.ranges):
        return None
    if any(walk.names_in(e) & names for loop in _loops(body) for e in walk.own_expressions(loop)):
        return None
    last = nest.ranges[-1]
    kind = _kind(body, last.name, has_arrays=bool(made))
    if kind is Lanes.APART and any(_is_sum(loop) for loop in _loops(body)):
        return None
    lanes = affine.symbol(widths[kind])
    arrays = tuple(replace(a, shape=(*a.shape, lanes)) for a in made)
    carried = tuple(Array(name, dtype, (lanes,)) for name, dtype in _carried(body).items())
    own = {a.name: a.dtype for a in (*arrays, *carried)}
    return Strip(nest.ranges[:-1], last, arrays, carried, _by_lane(body, own), kind)


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
    return isinstance(s, Store | Assign)


def _loops(body: Body) -> list[Loop]:
    return [s for s in walk.statements(body) if isinstance(s, Loop)]


def straight_parts(body: Body) -> Iterator[Loop | Body]:
    """Loops of a block, and the statements between them."""
    part: list[Statement] = []
    for s in body:
        if isinstance(s, Loop):
            if part:
                yield tuple(part)
            part = []
            yield s
        else:
            part.append(s)
    if part:
        yield tuple(part)


def _every_part(body: Body) -> Iterator[Body]:
    for part in straight_parts(body):
        if isinstance(part, Loop):
            yield from _every_part(part.body)
        else:
            yield part


def _carried(body: Body) -> dict[str, str]:
    """Dtypes of scalars that some straight part reads before it has set them."""
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
    """Where lanes find what they touch in their loops."""
    loops = _loops(body)
    moving = {loop.name for loop in loops}
    touched = walk.accesses(loops)
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


def _by_lane(body: Body, own: Mapping[str, str]) -> Body:
    """The body with an element for the lane in place of what a lane keeps."""
    lane = Position(affine.symbol(LANE))

    def change(e: Expression) -> Expression:
        if isinstance(e, Load) and e.array in own:
            return replace(e, indices=(*e.indices, lane))
        if isinstance(e, Variable) and e.name in own:
            return Load(e.name, (lane,), e.dtype)
        return e

    def stored(s: Statement) -> Statement:
        if isinstance(s, Store) and s.array in own:
            return replace(s, indices=(*s.indices, lane))
        if isinstance(s, Assign) and s.name in own:
            return Store(s.name, (lane,), s.value)
        return walk.with_blocks(s, lambda inner: tuple(stored(part) for part in inner))

    return tuple(stored(s) for s in walk.with_expressions(body, change))
