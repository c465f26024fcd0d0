"""Integer expressions of a launch plan: checked once, evaluated with Python's integers.

They know integers, names, `+ - * // % << >>`, `min`, `max`, `ceildiv`, and in conditions the
comparisons and `and`, `or`, `not`. `//` rounds down and `%` has the sign of its right side, as in
Python.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from outpace.errors import DraftError

MOST_BITS = 64
"""No part of an expression may need more than a 64-bit signed integer holds."""
MOST_PARTS = 400
"""Parts of one expression, so that none exhausts the stack."""

_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.LShift: lambda a, b: a << b,
    ast.RShift: lambda a, b: a >> b,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}
_FUNCTIONS: dict[str, Callable[..., int]] = {
    "min": min,
    "max": max,
    "ceildiv": lambda a, b: -(-a // b),
}
RESERVED = frozenset(_FUNCTIONS)
"""Names that a plan may not give to anything."""


@dataclass(frozen=True)
class IntegerExpression:
    """A checked expression; make it with `parse_integer` or `parse_condition`.

    Attributes:
        text: As it was written.
        names: That it uses, each once, in order of appearance.
    """

    text: str
    names: tuple[str, ...]
    _tree: ast.expr

    def value(self, binding: Mapping[str, int]) -> int:
        """Its value; a condition gives 0 or 1.

        Raises:
            DraftError: A name is unbound, a divisor is zero, a shift is not by 0 to 63 bits, or a
                part does not fit 64 bits.
        """
        unbound = [name for name in self.names if name not in binding]
        if unbound:
            known = ", ".join(binding) or "none"
            raise DraftError(
                f"{self.text!r} uses {unbound[0]!r}, which is not known; there are {known}"
            )
        try:
            return _value(self._tree, binding)
        except _Undefined as error:
            raise DraftError(f"{self.text!r} {error} at {_shown(self.names, binding)}") from None


class _Undefined(Exception):  # noqa: N818  (an outcome, turned into a DraftError)
    """What a part of an expression does where it has no value."""


def parse_integer(text: str) -> IntegerExpression:
    """Check the form of an expression that gives an integer.

    Raises:
        DraftError: It is no expression, is a condition, or uses more than this module allows.
    """
    return _parse(text, condition=False)


def parse_condition(text: str) -> IntegerExpression:
    """Check the form of a condition, such as `steps % 2 == 1`.

    Raises:
        DraftError: It is no expression, compares nothing, or uses more than this module allows.
    """
    return _parse(text, condition=True)


@lru_cache(maxsize=4096)
def _parse(text: str, *, condition: bool) -> IntegerExpression:
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DraftError(f"{text[:80]!r} is not an expression: {error}") from error
    if sum(1 for _ in ast.walk(tree)) > MOST_PARTS:
        raise DraftError(f"{text[:40]!r}... is too long; use `let` for parts of it")
    if condition:
        _check_condition(text, tree)
    else:
        _check_integer(text, tree)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called]
    ordered = sorted(names, key=lambda n: (n.lineno, n.col_offset))
    return IntegerExpression(text, tuple(dict.fromkeys(n.id for n in ordered)), tree)


def _check_condition(text: str, node: ast.expr) -> None:
    match node:
        case ast.BoolOp(values=values):
            for value in values:
                _check_condition(text, value)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _check_condition(text, operand)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            type(op) in _COMPARISONS for op in ops
        ):
            for side in (left, *others):
                _check_integer(text, side)
        case _:
            raise DraftError(
                f"{text!r} is no condition; write comparisons such as `n > 0`, joined by and, or, "
                "not"
            )


def _check_integer(text: str, node: ast.expr) -> None:
    match node:
        case ast.Constant(value=value) if type(value) is int:
            pass
        case ast.Name(id=name) if name not in _FUNCTIONS:
            pass
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check_integer(text, operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _check_integer(text, left)
            _check_integer(text, right)
        case (
            ast.Call(func=ast.Name(id="min" | "max"), args=[_, _, *_], keywords=[])
            | ast.Call(func=ast.Name(id="ceildiv"), args=[_, _], keywords=[])
        ):
            for part in node.args:
                _check_integer(text, part)
        case _:
            raise DraftError(
                f"{text!r} uses {ast.unparse(node)!r}; only integers, names, + - * // % << >>, "
                "min, max and ceildiv(a, b) are understood"
            )


def _value(node: ast.expr, binding: Mapping[str, int]) -> int:
    """Value of a checked node."""
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return int(all(_value(value, binding) for value in values))
        case ast.BoolOp(values=values):
            return int(any(_value(value, binding) for value in values))
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_value(side, binding) for side in (left, *others)]
            pairs = zip(ops, sides, sides[1:], strict=False)
            return int(all(_COMPARISONS[type(op)](a, b) for op, a, b in pairs))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return int(not _value(operand, binding))
    return _fitting(_computed(node, binding))


def _computed(node: ast.expr, binding: Mapping[str, int]) -> int:
    found: Any = None
    match node:
        case ast.Constant(value=value):
            found = value
        case ast.Name(id=name):
            found = binding[name]
        case ast.UnaryOp(operand=operand):
            found = -_value(operand, binding)
        case ast.BinOp(left=left, op=op, right=right):
            found = _operated(op, _value(left, binding), _value(right, binding))
        case ast.Call(func=ast.Name(id=name), args=args):
            values = [_value(part, binding) for part in args]
            if name == "ceildiv" and values[1] == 0:
                raise _Undefined("divides by zero")
            found = _FUNCTIONS[name](*values)
    return int(found)


def _operated(op: ast.operator, a: int, b: int) -> int:
    if isinstance(op, ast.FloorDiv | ast.Mod) and b == 0:
        raise _Undefined("divides by zero")
    if isinstance(op, ast.LShift | ast.RShift) and not 0 <= b < MOST_BITS:
        raise _Undefined(f"shifts by {b} bits")
    return _OPERATORS[type(op)](a, b)


def _fitting(value: int) -> int:
    if not -(2 ** (MOST_BITS - 1)) <= value < 2 ** (MOST_BITS - 1):
        raise _Undefined("does not fit 64 bits")
    return value


def _shown(names: tuple[str, ...], binding: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={binding[name]}" for name in names) or "any size"
