"""Turn sequential loops whose iterations do not meet into nests, which threads may share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.c.scopes import assigned_in, is_fresh
from outpace.codegen.nests.ir import (
    Assign,
    Constant,
    If,
    Loop,
    Nest,
    Program,
    Range,
    Reduce,
    Statement,
    Store,
    While,
)

Body = tuple[Statement, ...]
_MANY = 32
"""Iterations from which a loop without others inside is worth a nest."""


def independent(program: Program, *, innermost: bool = False, straight: bool = False) -> Program:
    """The program with nests for loops whose iterations may run in any order.

    Args:
        program: Any.
        innermost: Whether loops that hold no other one may become nests, where they are not in one.
        straight: Whether only loops become nests that hold nothing but straight code then.
    """
    aliases = dependence.aliases(program.body)

    def block(body: Body, outside: Sequence[Statement], *, plain: bool) -> Body:
        result: list[Statement] = []
        for place, s in enumerate(body):
            rest = [*outside, *body[:place], *body[place + 1 :]]
            around = [*rest, *_around(s, innermost=innermost)]
            inside = plain and not isinstance(s, Nest)
            inner = walk.with_blocks(s, partial(block, outside=around, plain=inside))
            is_loop = isinstance(inner, Loop) and (plain or not _is_innermost(inner))
            nest = _nest(inner, rest, aliases) if isinstance(inner, Loop) and is_loop else None
            result.append(inner if nest is None or (straight and not _is_straight(nest)) else nest)
        return tuple(result)

    return replace(program, body=block(program.body, (), plain=innermost))


def _around(s: Statement, *, innermost: bool) -> Body:
    """What counts as outside the blocks of a loop, and reads scalars after them.

    On a CPU an inner loop with scalars of its own is left to the threads of the loop around it.
    """
    if isinstance(s, While) or (innermost and isinstance(s, Loop)):
        return (replace(s, body=()),)
    return (s,) if isinstance(s, Loop) else ()


def _is_straight(nest: Nest) -> bool:
    """Whether a point holds nothing but stores, scalars and branches."""
    inside = list(walk.statements(nest.body))
    whole = [e for s in inside for own in walk.own_expressions(s) for e in walk.expressions(own)]
    return all(isinstance(s, Store | Assign | If) for s in inside) and not any(
        isinstance(e, Reduce) for e in whole
    )


def _is_innermost(loop: Loop) -> bool:
    return not any(isinstance(s, Nest | Loop) for s in walk.statements(loop.body))


def _nest(loop: Loop, outside: Sequence[Statement], aliases: Mapping[str, str]) -> Nest | None:
    """The loop as a nest, if it is one."""
    start, stop = walk.affine_of(loop.start), walk.affine_of(loop.stop)
    if loop.step != Constant(1, "int64") or start is None or stop is None:
        return None
    extent = affine.minus(stop, start)
    if _is_innermost(loop) and not extent.names and extent.constant < _MANY:
        return None
    inside = list(walk.statements(loop.body))
    sets = walk.scalars_written(loop.body)
    is_slanted = loop.name in _extents(loop.body)
    if (
        not all(isinstance(s, Store | Assign | Nest | Loop | If) for s in inside)
        or {loop.name, *start.names, *stop.names} & sets
        or (is_slanted and start != affine.ZERO)
        or not all(_is_private(name, loop.body, outside) for name in assigned_in(loop.body))
        or not _apart(loop, aliases)
    ):
        return None
    moved = {loop.name: affine.plus(affine.symbol(loop.name), start)}
    body = loop.body
    if start != affine.ZERO:
        body = walk.with_expressions(body, walk.substituting(moved))
    ranges = (Range(loop.name, extent),)
    if len(body) == 1 and isinstance(body[0], Nest) and not is_slanted:
        return Nest((*ranges, *body[0].ranges), body[0].body)
    return Nest(ranges, body)


def _extents(body: Body) -> set[str]:
    """Names on which the lengths of nests and reductions depend."""
    ranges = [r for s in walk.statements(body) if isinstance(s, Nest) for r in s.ranges]
    for s in walk.statements(body):
        for own in walk.own_expressions(s):
            ranges += [r for e in walk.expressions(own) if isinstance(e, Reduce) for r in e.ranges]
    return {name for r in ranges for name in r.extent.names}


def _is_private(name: str, body: Body, outside: Sequence[Statement]) -> bool:
    """Whether a scalar has a value of its own in every iteration, which ends with it."""
    return is_fresh(name, body) and name not in walk.scalars_read(outside)


def _apart(loop: Loop, aliases: Mapping[str, str]) -> bool:
    """Whether no iteration touches what another one writes."""
    others = walk.indices(loop.body) | {
        s.name for s in walk.statements(loop.body) if isinstance(s, Loop | Assign)
    }
    touched = walk.accesses(loop.body)
    return dependence.meet_within_points(touched, touched, [loop.name], others, aliases)
