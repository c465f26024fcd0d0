"""Name what the body of a nest computes more than once.

Recomputing temporaries makes expressions in which the same parts occur many times. Compilers find
them again, but not fast, and people do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from outpace.codegen.nests import walk
from outpace.codegen.nests.ir import (
    Apply,
    Assign,
    Cast,
    Expression,
    Load,
    Loop,
    Nest,
    Op,
    Program,
    Reduce,
    Statement,
    Store,
    Variable,
)

Body = tuple[Statement, ...]
_LAZY = frozenset({Op.WHERE, Op.LOGICAL_AND, Op.LOGICAL_OR})
"""Operations that may leave operands after the first one alone."""


def shared(program: Program) -> Program:
    """The program with repeated expressions in scalars of their iteration."""
    prefix = walk.unused_prefix(program, "part")
    count = 0

    def visit(s: Statement) -> Statement:
        nonlocal count
        if isinstance(s, Nest | Loop) and all(isinstance(p, Store | Assign) for p in s.body):
            names, body = _shared(s.body, prefix, count)
            count += names
            return replace(s, body=body)
        return walk.with_blocks(s, lambda body: tuple(visit(part) for part in body))

    return replace(program, body=tuple(visit(s) for s in program.body))


def _shared(body: Body, prefix: str, first: int) -> tuple[int, Body]:
    """How many names were given, and the body with them."""
    stored = {s.array for s in walk.stores(body)}
    result: list[Statement] = []
    given = 0
    for s in body:
        group: list[Statement] = [s]
        while (part := _repeated(group, stored)) is not None:
            name = f"{prefix}{first + given}"
            given += 1
            group = _with_name(group, part, Variable(name, part.dtype))
        result += group
    return given, tuple(result)


def _repeated(group: Sequence[Statement], stored: set[str]) -> Expression | None:
    """A largest repeated part of some statements that is computed in any case."""
    counts: Counter[Expression] = Counter()
    sure: list[Expression] = []
    for s in group:
        for own in walk.own_expressions(s):
            counts.update(e for e in walk.expressions(own) if isinstance(e, Apply))
            sure += always(own)
    found = [e for e in sure if counts[e] > 1 and not _is_volatile(e, stored)]
    return max(found, key=lambda e: sum(1 for _ in walk.expressions(e)), default=None)


def _is_volatile(e: Expression, stored: set[str]) -> bool:
    """Whether an expression is trivial, is a loop, or may change within the body."""
    parts = list(walk.expressions(e))
    return not any(isinstance(part, Load) for part in parts) or any(
        isinstance(part, Reduce) or (isinstance(part, Load) and part.array in stored)
        for part in parts
    )


def always(e: Expression) -> Iterator[Expression]:
    """Parts that are computed whatever the values are, innermost first."""
    match e:
        case Apply(op=op, operands=operands):
            for operand in operands[:1] if op in _LAZY else operands:
                yield from always(operand)
        case Cast(operand=operand):
            yield from always(operand)
        case _:
            pass
    yield e


def _with_name(group: Sequence[Statement], part: Expression, name: Variable) -> list[Statement]:
    """The statements with a name for a part, which gets its value before its first use."""

    def change(e: Expression) -> Expression:
        return name if e == part else e

    changed = walk.with_expressions(tuple(group), change)
    place = next(k for k, s in enumerate(group) if changed[k] != s)
    return [*changed[:place], Assign(name.name, part), *changed[place:]]
