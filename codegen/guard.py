"""What can be refused by reading a draft's syntax tree, without building it.

It saves the time of a build and tells a model at once what is not wanted. It is no boundary: what
passes here may still be hostile, and is confined and judged as any draft is.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence

from outpace.codegen.abi import slots
from outpace.codegen.parse import Refusal
from outpace.model import Contract, Draft

MODULES = ("numba", "numpy", "math", "cmath")
"""What a kernel may import, submodules of Numba's internals aside."""
_NAMES = frozenset(
    {
        "__import__", "breakpoint", "compile", "delattr", "eval", "exec", "getattr", "globals",
        "input", "locals", "open", "setattr", "vars",
    }
)  # fmt: skip
_ATTRIBUTES = frozenset({"core", "ctypeslib", "f2py", "fromfile", "load", "memmap", "objmode"})
"""Ways from `numba` and `numpy` to files, other processes' memory and the interpreter."""


def refusal(draft: Draft, contract: Contract) -> Refusal | None:
    """Why a draft need not be built, or None."""
    check = _CHECKS.get(draft.language)
    reason = check(draft, contract) if check is not None else None
    return Refusal(reason) if reason is not None else None


def _python(draft: Draft, contract: Contract) -> str | None:
    tree = ast.parse(draft.source)
    wanted = [slot.name for slot in slots(contract)]
    return next(_unwanted(tree), None) or _wrong_kernel(tree.body, wanted)


def _unwanted(tree: ast.AST) -> Iterator[str]:
    """Everything that a kernel has no use for, with its line."""
    for node in ast.walk(tree):
        reason = _reason(node)
        if reason is not None:
            yield f"line {getattr(node, 'lineno', '?')}: {reason}"


def _reason(node: ast.AST) -> str | None:
    match node:
        case ast.Import(names=names):
            return _foreign(alias.name for alias in names)
        case ast.ImportFrom(module=module, names=names):
            return _foreign(f"{module}.{alias.name}" for alias in names)
        case ast.Name(id=name) | ast.Attribute(attr=name) if _is_unwanted(node, name):
            return f"`{name}` is no part of a kernel"
        case ast.keyword(arg="cache"):
            return "leave `cache=` out; builds are cached by the harness"
        case ast.AsyncFunctionDef() | ast.Await() | ast.ClassDef():
            return "classes and coroutines are no part of a kernel"
    return None


def _foreign(names: Iterator[str]) -> str | None:
    for name in names:
        root, *inner = name.split(".")
        if root not in MODULES or not _ATTRIBUTES.isdisjoint(inner):
            return f"`{name}` may not be imported; there are {', '.join(MODULES)}"
    return None


def _is_unwanted(node: ast.AST, name: str) -> bool:
    listed = _NAMES if isinstance(node, ast.Name) else _ATTRIBUTES
    return name in listed or (name.startswith("__") and name.endswith("__"))


def _wrong_kernel(body: Sequence[ast.stmt], wanted: Sequence[str]) -> str | None:
    """Why this module does not define the kernel; None where that cannot be seen."""
    call = f"kernel({', '.join(wanted)})"
    defined = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == "kernel"]
    if not defined:
        bound = {n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name)}
        return None if "kernel" in bound else f"the module must define `def {call}`"
    arguments = defined[-1].args
    if arguments.vararg is not None or arguments.defaults or arguments.kwonlyargs:
        return f"`kernel` must take its arguments by position, without defaults: {call}"
    given = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    if len(given) != len(wanted):
        return f"`kernel` takes {len(given)} arguments, needed is {call}"
    returned = [n for n in ast.walk(defined[-1]) if isinstance(n, ast.Return) and n.value]
    if any(not _is_none(node.value) for node in returned if not _is_inner(defined[-1], node)):
        return "`kernel` must return nothing and write its outputs in place"
    return None


def _is_none(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _is_inner(kernel: ast.FunctionDef, node: ast.Return) -> bool:
    """Whether it returns from a function within the kernel."""
    inner = [n for n in ast.walk(kernel) if isinstance(n, ast.FunctionDef | ast.Lambda)]
    return any(node in ast.walk(function) for function in inner if function is not kernel)


_CHECKS: Mapping[str, Callable[[Draft, Contract], str | None]] = {"numba": _python}
