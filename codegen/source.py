"""The source of a reference: what it captures, its hash, and a standalone copy of it.

A reference may call helpers and use constants of its module. They belong to its numerical meaning,
so they are part of its hash and travel with every draft made from it.
"""

from __future__ import annotations

import ast
import inspect
import io
import math
import textwrap
import tokenize
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from outpace.codec import content_hash
from outpace.errors import ContractError

CONSTANT_TYPES = (bool, int, float, complex, str, bytes, type(None), np.generic)


@dataclass(frozen=True)
class SourceClosure:
    """A function with everything of its own module that it needs.

    Attributes:
        name: Name of the function.
        functions: Source text by name, helpers before their callers, the function last; without
            decorators, annotations kept.
        constants: Captured constants by name: scalars, strings, tuples of those, arrays.
        imports: Import statements for captured modules and functions of installed packages.
        first_line: Line of the function in its file, for messages.
    """

    name: str
    functions: dict[str, str]
    constants: dict[str, Any]
    imports: dict[str, str]
    first_line: int = 1
    modules: dict[str, str] = field(default_factory=dict)
    """Captured modules: local name to module name, for example `np` to `numpy`."""

    @property
    def hash(self) -> str:
        """Hash over comment- and docstring-free tokens, constants and imports."""
        return content_hash(
            [
                self.name,
                {name: tokens_of(text) for name, text in self.functions.items()},
                {name: _constant_text(value) for name, value in self.constants.items()},
                self.imports,
            ]
        )

    def module_text(self) -> str:
        """A standalone module that defines the function, annotations removed."""
        parts = [*self.imports.values(), self.constants_text()]
        parts += [without_annotations(text) for text in self.functions.values()]
        return "\n".join(part for part in parts if part) + "\n"

    def constants_text(self) -> str:
        """Assignments of the captured constants, one per line; they need `np` for arrays."""
        return "\n".join(f"{name} = {_constant_source(v)}" for name, v in self.constants.items())


def closure_of(fn: Callable[..., Any]) -> SourceClosure:
    """Collect a function, its helpers and captured constants.

    Raises:
        ContractError: The source is not available, or something captured cannot be carried.
    """
    collector = _Collector()
    collector.add_function(fn.__name__, fn)
    return SourceClosure(
        fn.__name__,
        collector.functions,
        dict(sorted(collector.constants.items())),
        dict(sorted(collector.imports.items())),
        fn.__code__.co_firstlineno,
        collector.modules,
    )


class _Collector:
    """Walks from a function to all that it captures."""

    def __init__(self) -> None:
        self.functions: dict[str, str] = {}
        self.constants: dict[str, Any] = {}
        self.imports: dict[str, str] = {}
        self.modules: dict[str, str] = {}
        self._seen: dict[str, Any] = {}

    def add_function(self, name: str, fn: Callable[..., Any]) -> None:
        if name in self._seen:
            if self._seen[name] is not fn:
                raise ContractError(f"two different helpers are both called {name!r}; rename one")
            return
        self._seen[name] = fn
        text = function_text(fn)
        for captured in captured_names(text):
            found, value = _lookup(fn, captured)
            if found:
                self._add(captured, value, name)
        self.functions[name] = text  # after its helpers

    def _add(self, name: str, value: Any, user: str) -> None:
        value = inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
        if isinstance(value, types.ModuleType):
            self.modules[name] = value.__name__
            self.imports[name] = f"import {value.__name__} as {name}"
        elif isinstance(value, types.FunctionType) and not _is_installed(value):
            if value.__name__ != name:
                raise ContractError(f"{user} calls {value.__name__!r} as {name!r}; use one name")
            self.add_function(name, value)
        elif isinstance(value, (*CONSTANT_TYPES, np.ndarray)) or _is_plain_tuple(value):
            self.constants[name] = value
        elif hasattr(value, "__module__") and hasattr(value, "__name__"):
            self.imports[name] = f"from {value.__module__} import {value.__name__} as {name}"
        else:
            raise ContractError(
                f"{user} uses the global {name!r} of type {type(value).__name__}; "
                "pass it as an argument, or make it a number, a string or an array"
            )


def function_text(fn: Callable[..., Any]) -> str:
    """Dedented source of a function without its decorators.

    Raises:
        ContractError: There is no source (typed at a prompt), or it is a lambda.
    """
    try:
        text = textwrap.dedent(inspect.getsource(fn))
    except (OSError, TypeError) as error:
        raise ContractError(
            f"the source of {getattr(fn, '__qualname__', fn)!r} is not available; "
            "put the function in a file or a notebook cell"
        ) from error
    node = ast.parse(text).body[0]
    if not isinstance(node, ast.FunctionDef):
        raise ContractError(f"{fn.__qualname__} is not a plain `def` function")
    lines = text.splitlines()
    return "\n".join(lines[node.lineno - 1 : node.end_lineno]) + "\n"


def captured_names(text: str) -> list[str]:
    """Names that a function's body reads and does not bind, in order of appearance."""
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef)
    arguments = node.args
    bound = {a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
    bound |= {a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None}
    names: list[str] = []
    for statement in node.body:
        for part in ast.walk(statement):
            if isinstance(part, ast.FunctionDef):
                bound |= {part.name} | {a.arg for a in part.args.args}
            elif isinstance(part, ast.Lambda):
                bound |= {a.arg for a in part.args.args}
            elif isinstance(part, ast.Name):
                (bound.add if isinstance(part.ctx, ast.Store) else names.append)(part.id)
    return list(dict.fromkeys(n for n in names if n not in bound))


def _lookup(fn: Callable[..., Any], name: str) -> tuple[bool, Any]:
    """The captured value; builtins and unknown names are not found."""
    code = fn.__code__
    if name in code.co_freevars and fn.__closure__ is not None:
        return True, fn.__closure__[code.co_freevars.index(name)].cell_contents
    if name in fn.__globals__:
        return True, fn.__globals__[name]
    return False, None


def _is_installed(fn: types.FunctionType) -> bool:
    """Whether a function comes from an installed package or the standard library."""
    import sysconfig  # noqa: PLC0415  (needed only here)

    paths = sysconfig.get_paths()
    roots = [paths[k] for k in ("stdlib", "platstdlib", "purelib", "platlib")]
    return fn.__code__.co_filename.startswith(tuple(roots)) or fn.__module__ == "numpy"


def _is_plain_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, CONSTANT_TYPES) for item in value)


def tokens_of(text: str) -> str:
    """The tokens of a function without comments, docstrings and layout."""
    docstrings = _docstring_positions(text)
    parts: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER):
            continue
        if token.start in docstrings:
            continue
        if token.type in (tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE):
            parts.append(tokenize.tok_name[token.type])
        else:
            parts.append(token.string)
    return " ".join(parts)


def _docstring_positions(text: str) -> set[tuple[int, int]]:
    positions = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None:
            positions.add((node.body[0].lineno, node.body[0].col_offset))
    return positions


def without_annotations(text: str) -> str:
    """The function with annotations, docstring and decorators removed, formatting normalised."""
    tree = ast.parse(textwrap.dedent(text))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            node.decorator_list = []
            for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
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


def _constant_text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name}{value.shape}{value.tobytes().hex()}"
    return f"{type(value).__name__}:{value!r}"


def _constant_source(value: Any) -> str:
    """An expression that gives the constant again, whatever the module has imported."""
    if isinstance(value, np.ndarray | np.generic):
        numpy = "__import__('numpy')"
        raw = f"{numpy}.frombuffer(bytes.fromhex({value.tobytes().hex()!r}), {value.dtype.name!r})"
        return f"{raw}.reshape({value.shape!r})" if isinstance(value, np.ndarray) else f"{raw}[0]"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    return repr(value)
