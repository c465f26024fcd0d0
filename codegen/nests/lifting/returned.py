"""Calls of helpers that return what they were given: `p = relaxed(p, b)` is `relaxed(p, b)`."""

from __future__ import annotations

import ast
import copy

from outpace.codegen.nests.lifting.aliasing import Functions
from outpace.codegen.nests.lifting.scopes import assignments, walk_own


def without_returned_arguments(function: ast.FunctionDef, functions: Functions) -> ast.FunctionDef:
    """The function, in which names that a helper gives back are not assigned.

    A name that becomes the array that it already is would count as bound again, and what is
    mutated must not be.

    Args:
        function: The reference or one of its helpers.
        functions: All of these.
    """
    kept: ast.FunctionDef = _Kept(functions).visit(copy.deepcopy(function))
    return kept


class _Kept(ast.NodeTransformer):
    """Makes assignments of what a helper gives back to calls alone."""

    def __init__(self, functions: Functions) -> None:
        self._given_back = {name: _given_back(f) for name, f in functions.items()}
        self._parameters = {name: [p.arg for p in f.args.args] for name, f in functions.items()}

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        match node:
            case ast.Assign(
                targets=[ast.Name() | ast.Tuple() as target],
                value=ast.Call(func=ast.Name(id=helper)) as call,
            ):
                back = self._given_back.get(helper, [])
                given = [p and self._argument(helper, call, p) for p in back]
                if given and None not in given and _names(target) == given:
                    return ast.copy_location(ast.Expr(call), node)
            case _:
                pass
        return node

    def _argument(self, helper: str, call: ast.Call, parameter: str) -> str | None:
        """The name that is passed for a parameter."""
        given = dict(zip(self._parameters[helper], call.args, strict=False))
        given |= {k.arg: k.value for k in call.keywords if k.arg is not None}
        passed = given.get(parameter)
        return passed.id if isinstance(passed, ast.Name) else None


def _given_back(function: ast.FunctionDef) -> list[str | None]:
    """The parameters that a function returns as they were given; empty if it may do otherwise."""
    returns = [part for part in walk_own(function) if isinstance(part, ast.Return)]
    if returns != function.body[-1:] or returns[0].value is None:
        return []
    names = _names(returns[0].value)
    counts = assignments(function.args, *function.body)
    parameters = {p.arg for p in function.args.args}
    return names if all(n in parameters and counts[n] == 1 for n in names if n) else []


def _names(node: ast.expr) -> list[str | None]:
    """The names in a tuple, or the only one; None for anything else."""
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return [part.id if isinstance(part, ast.Name) else None for part in parts]
