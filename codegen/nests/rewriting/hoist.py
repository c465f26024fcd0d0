"""Compute once, in front of a nest, what no iteration changes.

Compilers move cheap arithmetic out of loops by themselves, but neither calls such as `cos` nor
divisions that might fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from outpace.codegen.nests import dependence, walk
from outpace.codegen.nests.effects import effects_of
from outpace.codegen.nests.ir import (
    Apply,
    Assign,
    Expression,
    Load,
    Nest,
    Op,
    Program,
    Statement,
    Variable,
)

Body = tuple[Statement, ...]
_COSTLY = frozenset(
    {
        Op.DIVIDE, Op.FLOOR_DIVIDE, Op.REMAINDER, Op.POWER, Op.SQRT, Op.EXP, Op.LOG, Op.LOG2,
        Op.LOG10, Op.LOG1P, Op.EXPM1, Op.SIN, Op.COS, Op.TAN, Op.ARCSIN, Op.ARCCOS, Op.ARCTAN,
        Op.ARCTAN2, Op.HYPOT, Op.SINH, Op.COSH, Op.TANH,
    }
)  # fmt: skip


def hoisted(program: Program) -> Program:
    """The program with costly invariant expressions of nests in scalars before them."""
    aliases = dependence.aliases(program.body)
    found: dict[Expression, str] = {}
    prefix = walk.unused_prefix(program, "fixed")

    def block(body: Body) -> Body:
        result: list[Statement] = []
        for s in body:
            if isinstance(s, Nest):
                result += _hoisted_from(s, aliases, found, prefix)
            else:
                result.append(walk.with_blocks(s, block))
        return tuple(result)

    return replace(program, body=block(program.body))


def _hoisted_from(
    nest: Nest, aliases: Mapping[str, str], names: dict[Expression, str], prefix: str
) -> Body:
    """Assignments, and the nest that uses them."""
    effects = effects_of([nest], aliases)
    moving = {r.name for r in nest.ranges} | effects.sets | walk.indices(nest.body)
    before: dict[Expression, str] = {}

    def invariant(e: Expression) -> bool:
        written = any(
            isinstance(part, Load) and aliases.get(part.array, part.array) in effects.writes
            for part in walk.expressions(e)
        )
        return not written and not walk.names_in(e) & moving

    def change(e: Expression) -> Expression:
        if isinstance(e, Apply) and e.op in _COSTLY and invariant(e):
            before[e] = names.setdefault(e, f"{prefix}{len(names)}")
            return Variable(before[e], e.dtype)
        return e

    body = walk.with_expressions(nest.body, change)
    return (*(Assign(name, e) for e, name in before.items()), replace(nest, body=body))
