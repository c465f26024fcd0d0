"""Reading a function's source: what it takes besides its parameters, or what stands in the way."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from outpace.codegen.source import captured_names, without_annotations
from outpace.errors import ContractError


class Obstacle(Exception):  # noqa: N818  (an outcome of reading, not a fault)
    """A function cannot be taken; the text says why and what to write."""


@dataclass(frozen=True)
class Reading:
    """A function as it can stand alone.

    Attributes:
        name: Its name.
        tree: The function with every `self.x` as a plain name and without annotations and defaults;
            it does not return what it writes yet.
        parameters: Names in order, each with the expression that gives it where it is called now,
            such as `self.u`.
        written: Names that are bound anew and must be returned, each with its expression.
        returns: How many values it returns already.
        helpers: Source of the functions that it calls, by name, callees first.
        imports: Import statements.
        owner: The name that stands for the object of a method, or None.
        wrapped: Whether the caller passes more than it does now.
    """

    name: str
    tree: ast.FunctionDef
    parameters: dict[str, str]
    written: dict[str, str]
    returns: int
    owner: str | None
    wrapped: bool
    helpers: dict[str, str] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)


def read_function(code: types.CodeType, scope: Mapping[str, Any], is_own: Any) -> Reading:
    """Read the function behind a code object.

    Args:
        code: Of the function.
        scope: Globals of its module, at the time of a call.
        is_own: Whether a file name is one of the user's own.

    Raises:
        Obstacle: It cannot stand alone.
    """
    tree = _definition(code)
    _refuse_forms(code, tree)
    if tree.name == "__init__":
        raise Obstacle("it is a constructor; move its arithmetic into a function of arrays")
    names = [a.arg for a in (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs)]
    owner = names[0] if "." in code.co_qualname and names[:1] == ["self"] else None
    if "." in code.co_qualname and owner is None:
        raise Obstacle("it is a class or static method; move it out of the class")
    gathered = _Gathered(scope, is_own)
    text = ast.unparse(tree)
    outer = gathered.add(tree.name, text, is_helper=False)
    parameters = {name: name for name in names if name != owner}
    written: dict[str, str] = {}
    taken = {*_bound_names(tree), *outer}
    if owner is not None:
        tree, attributes, stored = _without_owner(tree, owner, taken)
        parameters |= attributes
        written |= stored
    declared = {n for s in ast.walk(tree) if isinstance(s, ast.Global) for n in s.names}
    parameters |= {name: name for name in outer}
    written |= {name: name for name in sorted(declared & _stored_names(tree))}
    return Reading(
        tree.name,
        tree,
        parameters,
        written,
        _returned(tree),
        owner,
        bool(outer or written or owner or tree.args.kwonlyargs),
        gathered.helpers,
        gathered.imports,
    )


def _definition(code: types.CodeType) -> ast.FunctionDef:
    """The syntax of a function, without annotations and docstring."""
    try:
        source = textwrap.dedent(inspect.getsource(code))
        node = ast.parse(source).body[0]
    except (OSError, SyntaxError, IndexError) as error:
        raise Obstacle("its source cannot be read; put it into a file") from error
    if not isinstance(node, ast.FunctionDef):
        raise Obstacle("it is no plain `def` function; write it as one")
    if node.decorator_list:
        first = ast.unparse(node.decorator_list[0])
        raise Obstacle(f"it is decorated by `@{first}`; take that off, or decorate a wrapper of it")
    found = ast.parse(without_annotations(source)).body[0]
    assert isinstance(found, ast.FunctionDef)
    return found


def _refuse_forms(code: types.CodeType, tree: ast.FunctionDef) -> None:
    if "<locals>" in code.co_qualname:
        outer = code.co_qualname.split(".<locals>")[0]
        held = ", ".join(code.co_freevars)
        closes = f" and reads {held} of it; pass that as an argument, and" if held else ";"
        raise Obstacle(f"it is defined inside {outer}{closes} move it to the top level of the file")
    if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise Obstacle("it is a generator; return an array instead of yielding its parts")
    if tree.args.vararg or tree.args.kwarg:
        raise Obstacle("it takes *args or **kwargs; name each argument")
    inner = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.Lambda)]
    if len(inner) > 1:
        raise Obstacle("it defines a function of its own; move that to the top level of the file")


class _Gathered:
    """Collects helpers and imports of a function, and names the data it reads."""

    def __init__(self, scope: Mapping[str, Any], is_own: Any) -> None:
        self.helpers: dict[str, str] = {}
        self.imports: dict[str, str] = {}
        self._scope = scope
        self._is_own = is_own

    def add(self, user: str, text: str, *, is_helper: bool) -> list[str]:
        """Names of the module's data that a text reads; its functions and modules are kept."""
        try:
            captured = captured_names(text)
        except ContractError as error:
            raise Obstacle(f"{error}; move it to the top level of the file") from error
        data = []
        for name in captured:
            if name not in self._scope:
                if not hasattr(builtins, name) and not is_helper:
                    data.append(name)  # declared global, and bound by the function itself
                continue
            value = self._scope[name]
            if isinstance(value, types.FunctionType) and self._is_own(value.__code__.co_filename):
                self._add_helper(name, value)
            elif _is_data(value):
                if is_helper:
                    raise Obstacle(
                        f"its helper {user} reads the global `{name}`; pass it as an argument"
                    )
                data.append(name)
            else:
                self.imports[name] = self._import_of(user, name, value)
        return data

    def _add_helper(self, name: str, fn: types.FunctionType) -> None:
        if name in self.helpers:
            return
        if fn.__name__ != name or fn.__closure__ is not None:
            raise Obstacle(f"it calls {name}, which is no plain `def` function of that name")
        tree = _definition(fn.__code__)
        if dict(fn.__globals__) is not self._scope and fn.__globals__ is not self._scope:
            inner = _Gathered(fn.__globals__, self._is_own)
            inner.helpers, inner.imports = self.helpers, self.imports
            inner.add(name, ast.unparse(tree), is_helper=True)
        else:
            self.add(name, ast.unparse(tree), is_helper=True)
        self.helpers[name] = ast.unparse(tree) + "\n"

    def _import_of(self, user: str, name: str, value: Any) -> str:
        if isinstance(value, types.ModuleType):
            if self._is_own(getattr(value, "__file__", None) or ""):
                raise Obstacle(
                    f"{user} uses your module `{name}`; import each function by its name instead"
                )
            return f"import {value.__name__} as {name}"
        called = getattr(value, "__name__", None)
        module = "numpy" if isinstance(value, np.ufunc) else getattr(value, "__module__", None)
        if called and module and getattr(sys.modules.get(module), called, None) is value:
            own_file = getattr(sys.modules[module], "__file__", None) or ""
            if not self._is_own(own_file):
                return f"from {module} import {called} as {name}"
        raise Obstacle(
            f"{user} uses the global `{name}` of type {type(value).__name__}; a reference takes "
            "arrays and numbers alone: pass what it needs of it as arguments"
        )


def _is_data(value: Any) -> bool:
    return isinstance(value, bool | int | float | complex | np.ndarray | np.generic)


def _bound_names(tree: ast.AST) -> set[str]:
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    return names | {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}


def _stored_names(tree: ast.AST) -> set[str]:
    return {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }


def _without_owner(
    tree: ast.FunctionDef, owner: str, taken: set[str]
) -> tuple[ast.FunctionDef, dict[str, str], dict[str, str]]:
    """A method with its attributes as names; the ones that it reads, and those that it binds."""
    reads: dict[str, str] = {}
    binds: dict[str, str] = {}
    allowed: set[int] = set()
    for node, parent in sorted(_with_parents(tree), key=_position):
        if not (isinstance(node, ast.Attribute) and _is_owner(node.value, owner)):
            continue
        allowed.add(id(node.value))
        if isinstance(parent, ast.Call) and parent.func is node:
            raise Obstacle(
                f"it is a method and calls `{owner}.{node.attr}(...)`; make that a function of "
                "arrays and numbers first"
            )
        name = node.attr if node.attr not in taken else f"{node.attr}_"
        expression = f"{owner}.{node.attr}"
        if isinstance(node.ctx, ast.Store):
            binds[name] = expression
        if isinstance(node.ctx, ast.Load) or isinstance(parent, ast.AugAssign):
            reads[name] = expression
    if any(_is_owner(n, owner) and id(n) not in allowed for n in ast.walk(tree)):
        raise Obstacle(
            f"it is a method and hands on `{owner}` itself; pass what is needed of it as arguments"
        )
    renamed = _Renamed(owner, {e: n for n, e in {**reads, **binds}.items()}).visit(tree)
    return ast.fix_missing_locations(renamed), reads, binds


def _is_owner(node: ast.AST, owner: str) -> bool:
    return isinstance(node, ast.Name) and node.id == owner


def _with_parents(tree: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    for parent in ast.walk(tree):
        for node in ast.iter_child_nodes(parent):
            yield node, parent


def _position(pair: tuple[ast.AST, ast.AST]) -> tuple[int, int]:
    return getattr(pair[0], "lineno", 0), getattr(pair[0], "col_offset", 0)


class _Renamed(ast.NodeTransformer):
    """`self.u` becomes `u`."""

    def __init__(self, owner: str, names: Mapping[str, str]) -> None:
        self._owner = owner
        self._names = names

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if _is_owner(node.value, self._owner):
            name = self._names[f"{self._owner}.{node.attr}"]
            return ast.copy_location(ast.Name(name, node.ctx), node)
        self.generic_visit(node)
        return node


def _returned(tree: ast.FunctionDef) -> int:
    """How many values every return gives."""
    counts = {
        len(n.value.elts) if isinstance(n.value, ast.Tuple) else 0 if n.value is None else 1
        for n in ast.walk(tree)
        if isinstance(n, ast.Return)
    }
    if len(counts) > 1:
        raise Obstacle("its returns give different numbers of values; return the same everywhere")
    return counts.pop() if counts else 0


def in_folders(folders: tuple[Path, ...]) -> Any:
    """A test of file names: a program's own are in these folders and in no installed package."""

    def is_own(name: str) -> bool:
        path = Path(name)
        installed = {"site-packages", "dist-packages"} & set(path.parts)
        return (
            path.suffix == ".py"
            and not installed
            and any(path.is_relative_to(folder) for folder in folders)
        )

    return is_own
