"""Give a function one return, at its end, by moving what follows a return into the other branch."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from outpace.errors import NotLifted

RESULT = "returned"
"""Base of the names that hold results until the end."""
At = Callable[[ast.stmt], None]
LARGEST_FUNCTION = 400
"""Statements beyond which a function has been copied too often."""


def with_one_return(function: ast.FunctionDef, at: At) -> list[ast.stmt]:
    """The body, in which only the last statement may be a return.

    Args:
        function: The function.
        at: Told of the statement that cannot be lifted.

    Raises:
        NotLifted: It returns from inside a loop.
    """
    returns = [part for part in ast.walk(function) if isinstance(part, ast.Return)]
    last = function.body[-1]
    if not returns or returns == [last]:
        return function.body
    taken = {part.id for part in ast.walk(function) if isinstance(part, ast.Name)}
    base = RESULT
    while any(name.startswith(base) for name in taken):
        base += "_"
    lengths = {len(r.value.elts) if isinstance(r.value, ast.Tuple) else 0 for r in returns}
    count = lengths.pop() if len(lengths) == 1 else 0
    names = [f"{base}{k}" for k in range(count)] if count else [base]
    body = _settled(function.body, names, at, tuple_of=bool(count))
    if sum(isinstance(p, ast.stmt) for s in body for p in ast.walk(s)) > LARGEST_FUNCTION:
        raise NotLifted("returns at many places")
    return body


def _settled(
    body: Sequence[ast.stmt], names: list[str], at: At, *, tuple_of: bool
) -> list[ast.stmt]:
    """The block with one return at the end."""
    for place, s in enumerate(body):
        if isinstance(s, ast.Return):
            return list(body[: place + 1])
        if not _returns(s):
            continue
        if not isinstance(s, ast.If):
            at(s)
            raise NotLifted("a return inside a loop")
        rest = body[place + 1 :]
        chosen = _settled([*s.body, *rest], names, at, tuple_of=tuple_of)
        other = _settled([*s.orelse, *rest], names, at, tuple_of=tuple_of)
        branches = [_kept(b, names, s, tuple_of=tuple_of) for b in (chosen, other)]
        branch = ast.copy_location(ast.If(s.test, branches[0], branches[1]), s)
        end = ast.Return(_value(names, ast.Load(), tuple_of=tuple_of))
        return [*body[:place], branch, ast.fix_missing_locations(ast.copy_location(end, s))]
    return list(body)


def _kept(
    body: list[ast.stmt], names: list[str], like: ast.stmt, *, tuple_of: bool
) -> list[ast.stmt]:
    """A block whose result is assigned instead of returned."""
    last = body[-1] if body else None
    value: ast.expr = ast.Constant(None)
    if isinstance(last, ast.Return):
        value = last.value or value
        body = body[:-1]
    assigned = ast.Assign([_value(names, ast.Store(), tuple_of=tuple_of)], value)
    place = last if isinstance(last, ast.Return) else like
    return [*body, ast.fix_missing_locations(ast.copy_location(assigned, place))]


def _value(names: list[str], context: ast.expr_context, *, tuple_of: bool) -> ast.expr:
    parts: list[ast.expr] = [ast.Name(n, context) for n in names]
    return ast.Tuple(parts, context) if tuple_of else parts[0]


def _returns(s: ast.stmt) -> bool:
    return any(isinstance(part, ast.Return) for part in ast.walk(s))
