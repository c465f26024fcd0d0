"""Where names of a function may share memory in Python and would not once a part is lifted.

Inside loops, branches and helpers, lifting may copy where Python gives an array a second name. That
shows only if one of the two is written in place, perhaps by statements beyond the part.
"""

from __future__ import annotations

import ast
from collections.abc import Set as AbstractSet

from outpace.codegen.mixed import flow
from outpace.codegen.nests.lifting.aliasing import related, written_in_place
from outpace.codegen.nests.lifting.subject import definition
from outpace.codegen.source import SourceClosure
from outpace.errors import NotLifted

_WRITING = frozenset({"at", "put_along_axis", "putmask", "place", "put", "copyto", "fill_diagonal"})
"""Functions of NumPy that write their first argument."""
_READING = frozenset(
    {"range", "len", "abs", "min", "max", "sum", "int", "float", "bool", "complex", "enumerate"}
    | {"zip", "reversed", "round", "pow", "divmod", "isinstance", "print", "tuple", "list"}
)
"""Builtins that write nothing."""


def maybe_written(function: ast.FunctionDef, closure: SourceClosure) -> flow.Names:
    """Names of a function whose arrays may be written in place, by any call that might."""
    functions = {name: definition(text) for name, text in closure.functions.items()}
    found = set(written_in_place(function, functions))
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and not _only_reads(node, closure):
            found |= flow.loaded(*node.args, *(k.value for k in node.keywords))
    return frozenset(found)


def _only_reads(call: ast.Call, closure: SourceClosure) -> bool:
    """Whether a call writes nothing but what is seen from its source."""
    match call.func:
        case ast.Name(id=name):
            return name in _READING or name in closure.functions
        case ast.Attribute(attr=attr):
            module = closure.modules.get(_root(call.func), "")
            return module.partition(".")[0] == "numpy" and attr not in _WRITING
        case _:
            return False


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def refuse_copies(
    function: ast.FunctionDef,
    closure: SourceClosure,
    run: flow.Block,
    visible: AbstractSet[str],
    may_write: flow.Names,
) -> None:
    """Refuse a part after which two names might no longer share their memory.

    Args:
        function: Of which the part is.
        closure: Its helpers.
        run: The statements of the part.
        visible: Arrays that are there before or after it.
        may_write: Names whose arrays may be written in place.

    Raises:
        NotLifted: One of two such arrays may be written.
    """
    for s in run:
        if not _may_copy(s, closure):
            continue
        for name in sorted(visible):
            group = related(s, {name}, {})
            if len(group & visible) > 1 and related(function, group, {}) & may_write:
                other = min(group & visible - {name})
                raise NotLifted(f"{name} and {other} may share their memory", s.lineno)


def _may_copy(s: ast.stmt, closure: SourceClosure) -> bool:
    """Whether a statement holds a loop, a branch or the call of a helper."""
    for node in ast.walk(s):
        match node:
            case ast.For() | ast.While() | ast.If() | ast.IfExp():
                return True
            case ast.Call(func=ast.Name(id=name)) if name in closure.functions:
                return True
            case _:
                pass
    return False
