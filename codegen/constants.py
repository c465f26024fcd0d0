"""Parameters as module constants, for drafts in Python."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from outpace.model import Scalar

UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What Python raises on text that is no module, the last two for one that is nested too deeply."""


def with_constants(source: str, values: Mapping[str, Scalar]) -> str:
    """The module with one assignment a parameter above its first statement.

    What the module itself assigns to a parameter is taken out: it would win otherwise, and all
    variants would be the same. Text that does not parse is left for the build to refuse.

    Args:
        source: Text of the module.
        values: Parameters by name.
    """
    if not values:
        return source
    assignments = [f"{name} = {value!r}" for name, value in values.items()]
    lines = source.split("\n")
    body = _statements(source)
    for node in body:
        if _assigned(node) in values:
            last = node.end_lineno or node.lineno
            lines[node.lineno - 1 : last] = [""] * (last - node.lineno + 1)
    at = _line_after_preamble(body)
    return "\n".join([*lines[:at], *assignments, *lines[at:]])


def _statements(source: str) -> list[ast.stmt]:
    """Statements of a module; none where it does not parse."""
    try:
        return ast.parse(source).body
    except UNPARSABLE:
        return []


def _assigned(node: ast.stmt) -> str | None:
    """The one name that a statement assigns to."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return None


def _line_after_preamble(body: Sequence[ast.stmt]) -> int:
    """Number of lines taken by the docstring and `__future__` imports."""
    end = 0
    for position, node in enumerate(body):
        is_docstring = (
            position == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        )
        is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not (is_docstring or is_future):
            break
        end = node.end_lineno or 0
    return end
