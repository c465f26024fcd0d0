"""Sizes that are products, such as `c * r * r`, and what `where` says they are equal to."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from outpace.codegen.nests.ir import Apply, Cast, Constant, Expression, Op, Position

Polynomial = Mapping[tuple[str, ...], int]
"""Factor of each product of names, the names sorted; `()` for the constant."""


def equalities(where: str | None, names: Mapping[str, str]) -> dict[str, Polynomial]:
    """What the conjuncts `name == expression` of a condition say.

    Args:
        where: The condition of a contract.
        names: The name of each size in the program.
    """
    if where is None:
        return {}
    tree = ast.parse(where.strip(), mode="eval").body
    is_all = isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And)
    found: dict[str, Polynomial] = {}
    for part in tree.values if is_all and isinstance(tree, ast.BoolOp) else [tree]:
        match part:
            case ast.Compare(left=ast.Name(id=name), ops=[ast.Eq()], comparators=[value]) if (
                name in names
            ):
                polynomial = _of_syntax(value, names)
                if polynomial is not None:
                    found[names[name]] = polynomial
            case _:
                pass
    return found


def polynomial_of(e: Expression) -> Polynomial | None:
    """An integer expression as a polynomial over sizes, if it is one."""
    match e:
        case Constant(value=int(value)) if not isinstance(value, bool):
            return {(): value}
        case Position(value=value):
            terms: dict[tuple[str, ...], int] = {(name,): factor for name, factor in value.terms}
            return _clean(terms | {(): value.constant})
        case Cast(operand=operand, dtype="int64"):
            return polynomial_of(operand)
        case Apply(op=op, operands=(left, right)):
            return _combined(op, polynomial_of(left), polynomial_of(right))
        case _:
            return None


_SYNTAX = {ast.Add: Op.ADD, ast.Sub: Op.SUBTRACT, ast.Mult: Op.MULTIPLY, ast.Pow: Op.POWER}


def _of_syntax(node: ast.expr, names: Mapping[str, str]) -> Polynomial | None:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return {(): value}
        case ast.Name(id=name) if name in names:
            return {(names[name],): 1}
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _SYNTAX:
            sides = _of_syntax(left, names), _of_syntax(right, names)
            return _combined(_SYNTAX[type(op)], *sides)
        case _:
            return None


def _combined(op: Op, a: Polynomial | None, b: Polynomial | None) -> Polynomial | None:
    if a is None or b is None:
        return None
    if op in (Op.ADD, Op.SUBTRACT):
        sign = 1 if op is Op.ADD else -1
        return _clean({k: a.get(k, 0) + sign * b.get(k, 0) for k in {*a, *b}})
    if op is Op.MULTIPLY:
        return _product(a, b)
    if op is not Op.POWER:
        return None
    times = b.get((), 0)
    if set(b) <= {()} and 0 <= times <= 8:
        result: Polynomial = {(): 1}
        for _ in range(times):
            result = _product(result, a)
        return result
    return {(f"{sorted(a.items())}**{sorted(b.items())}",): 1}  # a name for the whole power


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    found: dict[tuple[str, ...], int] = {}
    for left, factor in a.items():
        for right, other in b.items():
            key = tuple(sorted((*left, *right)))
            found[key] = found.get(key, 0) + factor * other
    return _clean(found)


def _clean(a: Polynomial) -> Polynomial:
    return {k: c for k, c in a.items() if c}
