"""Name what the body of a nest computes more than once.

Recomputing temporaries makes expressions in which the same parts occur many times. Compilers find
them again, but not fast, and people do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
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
        while True:
            part = _repeated(s, stored)
            if part is None:
                break
            name = f"{prefix}{first + given}"
            given += 1
            result.append(Assign(name, part))
            s = _with_name(s, part, Variable(name, part.dtype))  # noqa: PLW2901  (until none is left)
        result.append(s)
    return given, tuple(result)


def _repeated(s: Statement, stored: set[str]) -> Expression | None:
    """A smallest repeated part of a statement that is computed in any case."""
    counts: Counter[Expression] = Counter()
    always: list[Expression] = []
    for own in walk.own_expressions(s):
        for e in walk.expressions(own):
            if isinstance(e, Apply) and any(isinstance(p, Load) for p in walk.expressions(e)):
                counts[e] += 1
        always += _always(own)
    return next(
        (
            e
            for e in always
            if counts[e] > 1
            and not any(isinstance(p, Reduce) for p in walk.expressions(e))
            and not any(isinstance(p, Load) and p.array in stored for p in walk.expressions(e))
        ),
        None,
    )


def _always(e: Expression) -> Iterator[Expression]:
    """Parts that are computed whatever the values are, innermost first."""
    match e:
        case Apply(op=op, operands=operands):
            for operand in operands[:1] if op in _LAZY else operands:
                yield from _always(operand)
        case Cast(operand=operand):
            yield from _always(operand)
        case _:
            pass
    yield e


def _with_name(s: Statement, part: Expression, name: Variable) -> Statement:
    def change(e: Expression) -> Expression:
        return name if e == part else e

    (changed,) = walk.with_expressions((s,), change)
    return changed
