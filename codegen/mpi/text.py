"""Pieces of program text: templates without their docstrings, and what they import."""

from __future__ import annotations

import ast
import io
import tokenize
from functools import cache
from importlib.resources import files

from outpace.errors import DraftError

_TEMPLATES = "outpace.codegen.mpi.templates"


@cache
def template_body(name: str) -> str:
    """The text of a template without its docstring and imports."""
    text = _template(name)
    lines = text.splitlines()
    body = ast.parse(text).body
    first = next(n for n in body[1:] if not isinstance(n, ast.Import | ast.ImportFrom))
    decorators = getattr(first, "decorator_list", [])
    start = min([first.lineno, *(d.lineno for d in decorators)])
    kept = "\n".join(lines[start - 1 :])
    return "\n".join(line.partition("  # noqa")[0] for line in kept.splitlines())


def _template(name: str) -> str:
    return files(_TEMPLATES).joinpath(f"{name}.py").read_text(encoding="utf-8")


@cache
def template_imports(names: tuple[str, ...], more: str = "") -> str:
    """Import statements of templates, each name once, without those of one another.

    Args:
        names: The templates.
        more: Statements to go with them.
    """
    plain: set[str] = set()
    members: dict[str, set[str]] = {}
    for text in (*map(_template, names), more):
        for node in ast.parse(text).body:
            if isinstance(node, ast.Import):
                plain.add(ast.unparse(node))
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                members.setdefault(node.module, set()).update(a.name for a in node.names)
    own = [module for module in members if module.startswith("outpace.")]
    for module in own:
        del members[module]
    lines = [f"from {m} import {', '.join(sorted(members[m]))}" for m in sorted(members)]
    return "\n".join([*lines, "", *sorted(plain)])


def top_level_names(source: str) -> set[str]:
    """Names that a module defines or imports."""
    found = set(_imported(source))
    for node in ast.parse(source).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=targets):
                found |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def beside(source: str, around: str) -> str:
    """A module with other names for what it defines at top level, where the text around has these.

    Args:
        source: The module.
        around: Text of the program into which it goes.

    Raises:
        DraftError: Such a name means something else in one of its functions, or is imported.
    """
    mine, theirs = _imported(source), _imported(around)
    shared = {name for name in mine if mine[name] == theirs.get(name)}
    clashing = (top_level_names(source) & top_level_names(around)) - shared
    if not clashing:
        return source
    for node in ast.walk(ast.parse(source)):
        inner = node.arg if isinstance(node, ast.arg | ast.keyword) else None
        if isinstance(node, ast.Global):
            inner = next(iter(clashing & set(node.names)), None)
        if inner in clashing or (inner := next(iter(clashing & set(mine)), None)) is not None:
            raise DraftError(
                f"the local kernel uses the name {inner}, which the MPI program around it needs "
                "for itself; rename it"
            )
    lines = [list(line) for line in source.splitlines(keepends=True)]
    before = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and token.string in clashing and before != ".":
            row, column = token.start
            lines[row - 1][column] = f"serial_{token.string[0]}"
        before = token.string
    return "".join(character for line in lines for character in line)


def _imported(source: str) -> dict[str, str]:
    """What each imported name of a module stands for."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found
