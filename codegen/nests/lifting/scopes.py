"""Small questions about names, types and values that lifting statements asks."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Constant, Expression, Position, Variable
from outpace.codegen.nests.lifting.values import Kind, Lifted, Value, cast, element, joined_kind
from outpace.errors import NotLifted

Types = dict[str, frozenset[Kind]]
"""The types that each scalar variable may have."""


def converted_to(value: Value, dtype: str) -> Value:
    """The value as it is stored into an array of this dtype."""
    return Value(dtype, value.shape, lambda i: cast(value.at(i), dtype), value.weak)


def stretched(value: Value, shape: tuple[Affine, ...]) -> Value:
    """The value broadcast to a shape."""
    return Value(value.dtype, shape, lambda i: element(value, i))


def assignments(*nodes: ast.AST) -> Counter[str]:
    """How often each name is stored in these statements; arguments count once.

    What functions and comprehensions inside bind is their own.
    """
    found: Counter[str] = Counter()
    for node in nodes:
        for part in walk_own(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                found[part.id] += 1
            elif isinstance(part, ast.arg):
                found[part.arg] += 1
    return found


def walk_own(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all parts of it that are in the same scope."""
    yield node
    for part in ast.iter_child_nodes(node):
        if not isinstance(part, _SCOPES):
            yield from walk_own(part)


_SCOPES = (ast.FunctionDef, ast.Lambda, ast.ListComp, ast.GeneratorExp)


def is_rebound(name: str, body: list[ast.stmt]) -> bool:
    """Whether a block assigns a name other than in place."""
    in_place = sum(
        isinstance(part, ast.AugAssign)
        and isinstance(part.target, ast.Name)
        and part.target.id == name
        for node in body
        for part in ast.walk(node)
    )
    return assignments(*body)[name] > in_place


def variable_value(name: str, kinds: frozenset[Kind]) -> Value:
    """A scalar variable that may have these types.

    Raises:
        NotLifted: No one type holds them all.
    """
    try:
        dtype, weak = joined_kind(kinds)
    except NotLifted as error:
        places = sorted({kind for kind, _ in kinds})
        reason = f"{name} is {' at one place and '.join(places)} at another"
        raise NotLifted(reason) from error
    variable = Variable(name, dtype)
    several = kinds if len(kinds) > 1 else frozenset()
    return Value(dtype, (), lambda _: variable, weak, kinds=several)


def is_variable(value: Lifted) -> bool:
    """Whether a name stands for a scalar variable."""
    return isinstance(value, Value) and not value.is_array and isinstance(value.scalar, Variable)


def same_value(a: Lifted, b: Lifted) -> bool:
    """Whether a name means the same after both branches."""
    if not isinstance(a, Value) or not isinstance(b, Value) or a.is_array or b.is_array:
        return a is b
    if isinstance(a.scalar, Variable) and isinstance(b.scalar, Variable):
        return a.scalar.name == b.scalar.name
    return (a.scalar, a.possible) == (b.scalar, b.possible)


def storage_of(value: Lifted) -> str:
    """The array that a name is known to stand for."""
    assert isinstance(value, Value)
    assert value.storage is not None
    return value.storage


def full_range(ends: list[Affine]) -> tuple[Affine, Affine, Affine]:
    """Start, stop and step of `range(*ends)`."""
    if len(ends) == 1:
        return affine.ZERO, ends[0], affine.ONE
    return ends[0], ends[1], ends[2] if len(ends) > 2 else affine.ONE


def integer_expression(a: Affine) -> Expression:
    """An affine integer, or a literal."""
    return Position(a) if a.terms else Constant(a.constant, "int64")
