"""Move out of sequential loops what every iteration would do alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from outpace.codegen.nests import dependence, walk
from outpace.codegen.nests.effects import effects_of
from outpace.codegen.nests.ir import (
    Allocate,
    Assign,
    Load,
    Loop,
    Program,
    Rebind,
    Reduce,
    Statement,
)

Body = tuple[Statement, ...]


def invariants_out(program: Program) -> Program:
    """The program with fixed scalars, and arrays of fixed size, made before the loops they are in.

    Fresh arrays hold nothing, so one for all iterations does as well.
    """
    aliases = dependence.aliases(program.body)
    sets = Counter(s.name for s in walk.statements(program.body) if isinstance(s, Assign))
    once = {name for name, count in sets.items() if count == 1}

    def block(body: Body) -> Body:
        result: list[Statement] = []
        for s in body:
            inner = walk.with_blocks(s, block)
            if isinstance(inner, Loop):
                result += _moved(inner, aliases, once)
            else:
                result.append(inner)
        return tuple(result)

    return replace(program, body=block(program.body))


def _moved(loop: Loop, aliases: Mapping[str, str], once: set[str]) -> Body:
    """What goes before the loop, and the loop."""
    before: list[Statement] = []
    rest = list(loop.body)
    rebound = {n for s in walk.statements([loop]) if isinstance(s, Rebind) for n in s.targets}
    found = True
    while found:
        found = False
        effects = effects_of([replace(loop, body=tuple(rest))], aliases)
        for s in rest:
            if _is_fixed(s, effects.sets, once) and not (
                isinstance(s, Allocate) and s.array.name in rebound
            ):
                before.append(s)
                rest.remove(s)
                found = True
                break
    return (*before, replace(loop, body=tuple(rest)))


def _is_fixed(s: Statement, sets: frozenset[str], once: set[str]) -> bool:
    """Whether a statement does the same in every iteration and may be done if there is none."""
    if isinstance(s, Allocate):
        return not any(n in sets for extent in s.array.shape for n in extent.names)
    if not isinstance(s, Assign) or s.name not in once:
        return False
    # An element of an array may be there only while the loop runs.
    reads = any(isinstance(e, Load | Reduce) for e in walk.expressions(s.value))
    return not reads and not walk.names_in(s.value) & sets
