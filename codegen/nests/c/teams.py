"""Which loops run as one parallel region, in which threads meet only between nests.

Every thread of a team goes through the loop and computes its scalars itself, and the threads share
the iterations of each nest. So all of them must find the same values where they decide anything:
what a bound or scalar is computed from may not be written in the loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from outpace.codegen.nests import dependence, walk
from outpace.codegen.nests.c.scopes import assigned_in, is_fresh
from outpace.codegen.nests.ir import (
    Assign,
    Define,
    Expression,
    If,
    Load,
    Loop,
    Nest,
    Program,
    Rebind,
    Reduce,
    Statement,
    Store,
)

Body = tuple[Statement, ...]


def team_loops(program: Program) -> frozenset[int]:
    """Identities of the outermost loops that can be one parallel region."""
    aliases = dependence.aliases(program.body)
    found: set[int] = set()

    def visit(body: Body, outside: Sequence[Statement]) -> None:
        for place, s in enumerate(body):
            rest = [*outside, *body[:place], *body[place + 1 :]]
            if isinstance(s, Loop) and _is_team(s, rest, aliases):
                found.add(id(s))
            elif not isinstance(s, Nest):
                for block in walk.blocks(s):
                    visit(block, rest)

    visit(program.body, ())
    return frozenset(found)


def _is_team(loop: Loop, outside: Sequence[Statement], aliases: Mapping[str, str]) -> bool:
    nests = sum(isinstance(s, Nest) for s in _outside_nests(loop.body))
    leaves = walk.scalars_written([loop]) & walk.scalars_read(outside)
    written = {aliases.get(s.array, s.array) for s in walk.stores(loop.body)}
    rebound = {
        aliases.get(name, name)
        for s in walk.statements(loop.body)
        if isinstance(s, Rebind)
        for name in s.targets
    }
    return (
        nests > 0
        and not leaves
        and all(is_fresh(name, loop.body) for name in assigned_in(loop.body))
        and all(_is_common(s, written | rebound, aliases) for s in _outside_nests(loop.body))
    )


def _outside_nests(body: Body) -> list[Statement]:
    found: list[Statement] = []
    for s in body:
        found.append(s)
        if not isinstance(s, Nest):
            for block in walk.blocks(s):
                found += _outside_nests(block)
    return found


def _is_common(s: Statement, written: set[str], aliases: Mapping[str, str]) -> bool:
    """Whether all threads can execute a statement, or one of them for all."""
    if isinstance(s, Nest | Rebind | Store):
        return True
    if isinstance(s, Assign | Define | Loop | If):
        return all(_is_fixed(e, written, aliases) for e in walk.own_expressions(s))
    return False


def _is_fixed(e: Expression, written: set[str], aliases: Mapping[str, str]) -> bool:
    """Whether an expression has one value while others write these arrays, and is cheap."""
    return not any(
        isinstance(part, Reduce)
        or (isinstance(part, Load) and aliases.get(part.array, part.array) in written)
        for part in walk.expressions(e)
    )
