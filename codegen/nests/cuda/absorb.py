"""Move sequential loops into the nests inside them, so that one launch does all their rounds.

    for r:  nest i, j:  y[i, j] = y[i, j] + f(r, i, j)    ->    nest i, j:  for r:  ...

That is right where no iteration of the nest touches what another one writes, in any round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from outpace.codegen.nests import dependence, walk
from outpace.codegen.nests.ir import (
    Assign,
    Constant,
    If,
    Load,
    Loop,
    Nest,
    Position,
    Program,
    Reduce,
    Statement,
    Store,
    Variable,
)

Body = tuple[Statement, ...]


def absorbed(program: Program) -> Program:
    """The program with loops inside nests where that is right."""
    aliases = dependence.aliases(program.body)
    return replace(program, body=_block(program.body, aliases))


def _block(body: Body, aliases: Mapping[str, str]) -> Body:
    return tuple(_statement(s, aliases) for s in body)


def _statement(s: Statement, aliases: Mapping[str, str]) -> Statement:
    if isinstance(s, Nest):
        return s
    s = walk.with_blocks(s, lambda body: _block(body, aliases))
    if not isinstance(s, Loop) or len(s.body) != 1:
        return s
    (nest,) = s.body
    if not isinstance(nest, Nest) or not _may_exchange(s, nest, aliases):
        return s
    return Nest(nest.ranges, (replace(s, body=nest.body),))


def _may_exchange(loop: Loop, nest: Nest, aliases: Mapping[str, str]) -> bool:
    inside = list(walk.statements(nest.body))
    bounds = (loop.start, loop.stop, loop.step)
    names = [r.name for r in nest.ranges]
    extents = {n for r in nest.ranges for n in r.extent.names}
    return (
        all(isinstance(s, Store | Assign | Nest | Loop | If) for s in inside)
        and loop.name not in extents
        and isinstance(loop.step, Constant)
        and not any(isinstance(e, Load | Reduce) for b in bounds for e in walk.expressions(b))
        and all(isinstance(b, Constant | Position | Variable) for b in bounds)
        and _stay_apart(loop, nest, names, aliases)
    )


def _stay_apart(loop: Loop, nest: Nest, names: list[str], aliases: Mapping[str, str]) -> bool:
    """Whether each iteration of the nest has its own elements of what is written."""
    others = {loop.name, *walk.indices(nest.body)} | walk.scalars_written(nest.body)
    touched = walk.accesses(nest.body)
    return dependence.meet_within_points(touched, touched, names, others, aliases)
