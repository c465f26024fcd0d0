"""The domain of a contract: which sizes are allowed, and the reduction length at a size.

`where` is a Python expression over dims and int arguments. A name in it that is neither, such as
`q` in `"n == 2**q"`, is existential: the condition holds if it does for some value from 0 to 63.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

from outpace.codegen.dims import parse_dim, shape_of
from outpace.errors import ContractError
from outpace.model import Contract

_ALLOWED = (
    ast.Expression, ast.Name, ast.Load, ast.Constant, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp,
    ast.Not, ast.USub, ast.BinOp, ast.operator, ast.Compare, ast.cmpop, ast.IfExp,
)  # fmt: skip


@lru_cache(maxsize=256)
def compile_expression(text: str) -> Any:
    """Code object of an arithmetic expression over names.

    Raises:
        ContractError: It calls, indexes, or is not an expression.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ContractError(f"{text!r} is not an expression: {error}") from error
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ContractError(
                f"{text!r} uses {type(node).__name__}; only arithmetic, comparisons, and, or, not"
            )
    return compile(tree, "<expression>", "eval")


@lru_cache(maxsize=256)
def free_names(text: str) -> tuple[str, ...]:
    """Names in an expression, in order of appearance."""
    compile_expression(text)
    names = [n for n in ast.walk(ast.parse(text.strip(), mode="eval")) if isinstance(n, ast.Name)]
    return tuple(dict.fromkeys(n.id for n in sorted(names, key=lambda n: (n.lineno, n.col_offset))))


_NOTHING: dict[str, Any] = {"__builtins__": {}}
"""Globals of an expression: all its names are given."""
_UNDEFINED = (NameError, ArithmeticError, TypeError, ValueError)
"""What an expression raises where it has no value."""


def evaluate(text: str, names: Mapping[str, Any]) -> Any:
    """Value of an expression; ContractError when a name is unknown or it divides by zero."""
    try:
        return eval(compile_expression(text), _NOTHING, names)  # noqa: S307
    except _UNDEFINED as error:
        raise ContractError(f"{text!r} cannot be evaluated: {error}") from error


def allows(contract: Contract, sizes: Mapping[str, int]) -> bool:
    """Whether these sizes are in the domain: `where` holds and no extent is negative."""
    try:
        for part in contract.parts:
            shape_of(part.dims or (), sizes)
    except ContractError:
        return False
    return contract.where is None or holds(contract.where, sizes)


EXISTENTIAL = range(64)
"""Values tried for a name of `where` that is no size."""


def holds(where: str, sizes: Mapping[str, int]) -> bool:
    """Whether a condition over these sizes is true; where it cannot be evaluated it is not."""
    code, names = compile_expression(where), dict(sizes)
    free = [name for name in free_names(where) if name not in names]
    for values in product(EXISTENTIAL, repeat=len(free)):
        names.update(zip(free, values, strict=True))
        try:
            if eval(code, _NOTHING, names):  # noqa: S307
                return True
        except _UNDEFINED:
            continue
    return False


def reduction_length(contract: Contract, sizes: Mapping[str, int]) -> int:
    """L of the acceptance rule: `reduction`, else the product of the input dims that are absent
    from the outputs, else the largest dim; at least 1."""  # noqa: D205, D209
    if contract.reduction is not None:
        return max(1, int(evaluate(contract.reduction, sizes)))
    inputs = _dim_names(contract.arguments)
    results = _dim_names(contract.results)
    absent = [sizes[n] for n in inputs if n not in results]
    extents = [sizes[n] for n in inputs + results]
    return max(1, prod(absent) if absent else max(extents, default=1))


def _dim_names(parts: Any) -> list[str]:
    names = (n for p in parts for dim in p.dims or () for n in parse_dim(dim).names)
    return list(dict.fromkeys(names))
