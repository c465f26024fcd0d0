"""The source of a reference: what it captures, its hash, and a standalone copy of it.

A reference may call helpers and use constants of its module. They belong to its numerical meaning,
so they are part of its hash and travel with every draft made from it.
"""

from __future__ import annotations

import ast
import inspect
import io
import symtable
import sys
import textwrap
import tokenize
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from outpace.codec import content_hash
from outpace.errors import ContractError

CONSTANT_TYPES = (bool, int, float, complex, str, bytes, type(None))


@dataclass(frozen=True)
class SourceClosure:
    """A function with everything of its own module that it needs.

    Attributes:
        name: Name of the function.
        functions: Source text by name, helpers before their callers, the function last; without
            decorators, annotations kept.
        constants: Captured constants by name: scalars, strings, arrays of numbers, and tuples of
            those.
        imports: Import statements for captured modules and functions of installed packages.
    """

    name: str
    functions: dict[str, str]
    constants: dict[str, Any]
    imports: dict[str, str]
    modules: dict[str, str] = field(default_factory=dict)
    """Captured modules: local name to module name, for example `np` to `numpy`."""

    @property
    def hash(self) -> str:
        """Hash over comment- and docstring-free tokens, constants and imports."""
        return content_hash(
            [
                self.name,
                {name: tokens_of(text) for name, text in self.functions.items()},
                {name: _constant_source(value) for name, value in self.constants.items()},
                self.imports,
            ]
        )

    def module_text(self) -> str:
        """A standalone module that defines the function, annotations removed."""
        parts = [*self.imports.values(), self.constants_text()]
        parts += [without_annotations(text) for text in self.functions.values()]
        return "\n".join(part for part in parts if part) + "\n"

    def constants_text(self) -> str:
        """Assignments of the captured constants, one per line; they need no import."""
        return "\n".join(f"{name} = {_constant_source(v)}" for name, v in self.constants.items())


def closure_of(
    fn: Callable[..., Any], rewritten: Callable[[str], str] | None = None
) -> SourceClosure:
    """Collect a function, its helpers and captured constants.

    Args:
        fn: The function.
        rewritten: Gives the text that is taken for that of a function; callers before helpers.

    Raises:
        ContractError: The source is not available, or something captured cannot be carried.
    """
    collector = _Collector(fn, rewritten or (lambda text: text))
    collector.add_function(fn.__name__, fn)
    return SourceClosure(
        fn.__name__,
        collector.functions,
        dict(sorted(collector.constants.items())),
        dict(sorted(collector.imports.items())),
        collector.modules,
    )


class _Collector:
    """Walks from a function to all that it captures."""

    def __init__(self, fn: Callable[..., Any], rewritten: Callable[[str], str]) -> None:
        self.functions: dict[str, str] = {}
        self.constants: dict[str, Any] = {}
        self.imports: dict[str, str] = {}
        self.modules: dict[str, str] = {}
        self._package = fn.__module__.partition(".")[0]
        self._rewritten = rewritten
        self._seen: dict[str, Any] = {}

    def add_function(self, name: str, fn: Callable[..., Any]) -> None:
        if name in self._seen and self._seen[name] is fn:
            return
        self._claim(name, fn)
        text = self._rewritten(function_text(fn))
        for captured in captured_names(text):
            found, value = _lookup(fn, captured)
            if found:
                self._add(captured, value, name)
        self.functions[name] = text  # after its helpers

    def _add(self, name: str, value: Any, user: str) -> None:
        inner = inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
        if isinstance(inner, types.FunctionType) and not self._is_foreign(inner.__module__):
            if inner.__name__ != name:
                raise ContractError(
                    f"{user} calls {inner.__name__!r} as {name!r}; "
                    "write a helper as a plain `def`, and use it by that name"
                )
            self.add_function(name, _undecorated(value))
        elif _is_constant(value):
            self._claim(name, _constant_source(value))
            self.constants[name] = value
        else:
            statement = self._import_of(name, value, user)
            self._claim(name, statement)
            self.imports[name] = statement
            if isinstance(value, types.ModuleType):
                self.modules[name] = value.__name__

    def _claim(self, name: str, meaning: Any) -> None:
        if self._seen.setdefault(name, meaning) != meaning:
            raise ContractError(
                f"{name!r} means two different things in the functions that are used; rename one"
            )

    def _import_of(self, name: str, value: Any, user: str) -> str:
        """The statement that gives an installed package's module, class or function again."""
        is_module = isinstance(value, types.ModuleType)
        called = getattr(value, "__name__", None)
        module = called if is_module else getattr(value, "__module__", None)
        if called is None or module is None:
            raise ContractError(
                f"{user} uses the global {name!r} of type {type(value).__name__}; pass it as an "
                "argument, or make it a number, a string, an array of numbers or a tuple of those"
            )
        if not self._is_foreign(module):
            raise ContractError(
                f"{user} uses {name!r} of your own module {module}, whose code cannot be carried "
                "along; use plain functions, and import each one by its name"
            )
        if is_module:
            return f"import {module} as {name}"
        if getattr(sys.modules.get(module), called, None) is not value:
            raise ContractError(
                f"{user} uses {name!r}, which {module} does not hold under the name {called!r}; "
                f"import its module, and write module.{name}"
            )
        return f"from {module} import {called} as {name}"

    def _is_foreign(self, module: str) -> bool:
        """Whether a module is of the standard library or of another, installed package.

        The code of such packages is no part of the hash.
        """
        package = module.partition(".")[0]
        if package in sys.stdlib_module_names and package != "__main__":
            return True
        loaded = sys.modules.get(package)
        places = [getattr(loaded, "__file__", None) or "", *getattr(loaded, "__path__", [])]
        folders = [part for place in places for part in Path(place).parts]
        is_installed = "site-packages" in folders or "dist-packages" in folders
        return is_installed and package != self._package


def _undecorated(value: Any) -> Any:
    """The plain function that a compiling or caching decorator holds.

    Raises:
        ContractError: A decorator written in Python wraps it and may change what it returns.
    """
    while hasattr(value, "__wrapped__"):
        if isinstance(value, types.FunctionType):
            raise _wrapped(value)
        value = value.__wrapped__
    return value


def _wrapped(fn: Callable[..., Any]) -> ContractError:
    return ContractError(
        f"{fn.__qualname__} is wrapped by a decorator, whose effect cannot be carried along; "
        "use the plain function, and decorate it under another name"
    )


def function_text(fn: Callable[..., Any]) -> str:
    """Dedented source of a function without its decorators.

    Raises:
        ContractError: There is no source (typed at a prompt), or it is a lambda.
    """
    if hasattr(fn, "__wrapped__"):
        raise _wrapped(fn)
    try:
        text = inspect.getsource(fn)
    except (OSError, TypeError) as error:
        raise ContractError(
            f"the source of {getattr(fn, '__qualname__', fn)!r} is not available; "
            "put the function in a file or a notebook cell"
        ) from error
    node = _definition(textwrap.dedent(text))
    indented = _definition(f"if True:\n{text}")
    if node is None and indented is not None:  # a nested function with text at the left margin
        text = ast.unparse(indented)
        node = _definition(text)
    if node is None or fn.__name__ != node.name:
        raise ContractError(f"{fn.__qualname__} is not a plain `def` function")
    lines = textwrap.dedent(text).splitlines()
    return "\n".join(lines[node.lineno - 1 : node.end_lineno]) + "\n"


def _definition(text: str) -> ast.FunctionDef | None:
    """The function that a text defines, if it is one plain `def`, indented or not."""
    try:
        body: list[ast.stmt] = ast.parse(text).body
    except SyntaxError:
        return None
    if len(body) == 1 and isinstance(body[0], ast.If):
        body = body[0].body
    return body[0] if len(body) == 1 and isinstance(body[0], ast.FunctionDef) else None


def captured_names(text: str) -> list[str]:
    """Names that a function reads and does not bind, in order of appearance.

    Defaults of its parameters are part of it, annotations are not.

    Raises:
        ContractError: It changes variables of an enclosing function.
    """
    plain = without_annotations(text)
    try:
        module = symtable.symtable(plain, "<reference>", "exec")
    except SyntaxError as error:  # `nonlocal`: a function with a state of its own
        raise ContractError(f"the function cannot stand alone: {error}") from error
    captured = {
        symbol.get_name()
        for table in _tables(module)
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (symbol.is_global() or table is module)
    }
    used = [n for n in ast.walk(ast.parse(plain)) if isinstance(n, ast.Name) and n.id in captured]
    used.sort(key=lambda n: (n.lineno, n.col_offset))
    return list(dict.fromkeys(n.id for n in used))


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _lookup(fn: Callable[..., Any], name: str) -> tuple[bool, Any]:
    """The captured value; builtins and unknown names are not found."""
    code = fn.__code__
    if name in code.co_freevars and fn.__closure__ is not None:
        return True, fn.__closure__[code.co_freevars.index(name)].cell_contents
    if name in fn.__globals__:
        return True, fn.__globals__[name]
    return False, None


def tokens_of(text: str) -> str:
    """The tokens of a function without comments, docstrings and layout."""
    docstrings = _docstring_lines(text)
    parts: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER):
            continue
        is_layout = token.type in (tokenize.INDENT, tokenize.DEDENT)
        if token.start[0] in docstrings and not is_layout:
            continue
        if is_layout or token.type == tokenize.NEWLINE:
            parts.append(tokenize.tok_name[token.type])
        else:
            parts.append(token.string)
    return " ".join(parts)


def _docstring_lines(text: str) -> set[int]:
    """Lines that hold nothing but a docstring."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
            following = {node.lineno, *(part.lineno for part in node.body[1:2])}
            lines -= following
    return lines


def without_annotations(text: str) -> str:
    """The function with annotations, docstring and decorators removed, formatting normalised."""
    tree = ast.parse(textwrap.dedent(text))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            node.decorator_list = []
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            for argument in [*arguments, node.args.vararg, node.args.kwarg]:
                if argument is not None:
                    argument.annotation = None
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(_PlainAssignments().visit(tree)) + "\n"


class _PlainAssignments(ast.NodeTransformer):
    """`x: T = value` becomes `x = value`."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(
            ast.Assign(targets=[node.target], value=node.value, lineno=node.lineno), node
        )


def _is_constant(value: Any) -> bool:
    if isinstance(value, tuple):
        return type(value) is tuple and all(map(_is_constant, value))
    if type(value) is np.ndarray or isinstance(value, np.generic):
        return value.dtype.kind in "biufc"
    return type(value) in CONSTANT_TYPES  # an IntEnum is an int whose text is no expression


def _constant_source(value: Any) -> str:
    """An expression that gives the constant again, whatever the module has imported."""
    if isinstance(value, tuple):
        return f"({''.join(f'{_constant_source(item)}, ' for item in value)})"
    if isinstance(value, np.ndarray | np.generic):
        native = value.astype(value.dtype.newbyteorder("="))
        raw = f"bytes.fromhex({native.tobytes().hex()!r}), {native.dtype.name!r}"
        array = f"__import__('numpy').frombuffer({raw})"
        is_array = isinstance(value, np.ndarray)
        return f"{array}.reshape({value.shape!r}).copy()" if is_array else f"{array}[0]"
    if isinstance(value, complex):
        return f"complex({_constant_source(value.real)}, {_constant_source(value.imag)})"
    if isinstance(value, float):
        return repr(value) if np.isfinite(value) else f"float({str(value)!r})"
    return repr(value)
