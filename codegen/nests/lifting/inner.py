"""Functions that are defined inside another one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from outpace.codegen.nests.lifting.names import Frame
from outpace.codegen.nests.lifting.scopes import assignments
from outpace.errors import NotLifted


@dataclass(frozen=True)
class Inner:
    """A function inside another.

    Attributes:
        written: The statement that defines it.
        frame: The call of the function around it.
        free: Variables of that one which it reads.
    """

    written: ast.stmt
    frame: Frame
    free: frozenset[str]


def inner_function(s: ast.stmt) -> ast.FunctionDef | None:
    """The function that a statement defines, by `def` or by a name for a `lambda`.

    Raises:
        NotLifted: It has decorators, or defaults that are no literals.
    """
    match s:
        case ast.FunctionDef():
            found = s
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda(args=a, body=body)):
            end = ast.copy_location(ast.Return(body), s)
            found = ast.copy_location(ast.FunctionDef(name, a, [end], [], None), s)
        case _:
            return None
    if found.decorator_list or _is_opaque(found):
        raise NotLifted(f"{found.name}, which is no plain function, inside another")
    defaults = [d for d in (*found.args.defaults, *found.args.kw_defaults) if d is not None]
    if any(isinstance(part, ast.Name) for d in defaults for part in ast.walk(d)):
        raise NotLifted(f"a default of {found.name} that is not a literal")
    return found


def _is_opaque(function: ast.FunctionDef) -> bool:
    parts = (ast.Global, ast.Nonlocal, ast.Yield, ast.YieldFrom, ast.Await)
    return any(isinstance(part, parts) for part in ast.walk(function))


def free_names(inner: ast.FunctionDef, outer: ast.FunctionDef) -> frozenset[str]:
    """Variables of the function around it which it reads."""
    own = set(assignments(inner.args, *inner.body))
    read = set(_loaded(inner)) - own
    return frozenset(read & set(assignments(outer.args, *outer.body)))


def _loaded(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            yield part.id
