"""The normal form of a draft: equal for drafts that differ in layout, comments and names alone."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from outpace.codec import content_hash
from outpace.model import Draft

_KEPT = "kernel"
"""The one name that the harness looks up."""


def normal_hash(draft: Draft) -> str:
    """Hash of a draft's normal form; drafts of equal hash would be judged alike.

    In Python everything that the module itself binds is renamed, one name for one name, so that
    equal forms mean programs that differ in names alone. In other languages comments and layout are
    dropped.
    """
    normal = _FORMS.get(draft.language, _without_layout)
    parameters = [[p.name, list(p.values), p.when or ""] for p in draft.parameters]
    return content_hash(
        [draft.language, normal(draft), parameters, list(draft.constraints), draft.flags]
    )


def _python(draft: Draft) -> str:
    try:
        tree = ast.parse(draft.source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return draft.source  # whoever drafted it will be told when it is built
    kept = {_KEPT, *(p.name for p in draft.parameters)}
    names = {name: f"${i}" for i, name in enumerate(_bound(tree)) if name not in kept}
    return ast.dump(_Renamed(names).visit(tree), annotate_fields=False)


def _bound(tree: ast.Module) -> dict[str, None]:
    """Names that the module binds, imports aside, in order of appearance."""
    found: dict[str, None] = {}
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.arg(arg=name):
                found[name] = None
            case ast.Name(id=name, ctx=ast.Store()):
                found[name] = None
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    listed = {n for node in ast.walk(tree) for n in _listed(node)}
    return {name: None for name in found if name not in imported | keywords | listed}


def _listed(node: ast.AST) -> list[str]:
    return node.names if isinstance(node, ast.Global | ast.Nonlocal) else []


class _Renamed(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self._names.get(node.id, node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(self._names.get(node.arg, node.arg))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.name = self._names.get(node.name, node.name)
        node.body = _without_docstring(node.body)
        node.returns = None
        return node

    def visit_Module(self, node: ast.Module) -> ast.AST:
        self.generic_visit(node)
        return ast.Module(_without_docstring(node.body), [])


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest or [ast.Pass()]
    return body


def _without_layout(draft: Draft) -> str:
    """Lines of a C-like source without comments, blanks at their ends and empty lines."""
    text, out, position = draft.source, [], 0
    while position < len(text):
        end, piece = _piece(text, position)
        out.append(piece)
        position = end
    lines = (" ".join(line.split()) for line in "".join(out).splitlines())
    return "\n".join(line for line in lines if line)


def _piece(text: str, begin: int) -> tuple[int, str]:
    """Where the comment, literal or character that begins here ends, and what stays of it."""
    if text.startswith("//", begin):
        end = text.find("\n", begin)
        return (len(text) if end < 0 else end), ""
    if text.startswith("/*", begin):
        end = text.find("*/", begin + 2)
        return (len(text) if end < 0 else end + 2), " "
    if text[begin] in "\"'":
        end = begin + 1
        while end < len(text) and text[end] not in (text[begin], "\n"):
            end += 2 if text[end] == "\\" else 1
        return min(end + 1, len(text)), text[begin : end + 1]
    return begin + 1, text[begin]


_FORMS: Mapping[str, Callable[[Draft], str]] = {"numba": _python}
