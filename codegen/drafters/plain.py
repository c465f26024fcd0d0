"""The reference itself under Numba or Pythran, adapted to destination passing."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from outpace.codegen.reference import Reference
from outpace.codegen.source import without_annotations
from outpace.model import Output

_REFERENCE = "_reference"
_MAKERS = {
    "zeros": "0",
    "zeros_like": "0",
    "ones": "1",
    "ones_like": "1",
    "empty": "",
    "empty_like": "",
}
"""What a local array made by these holds at first; nothing for undefined contents."""


def plain_source(reference: Reference, flags: Sequence[str] = ()) -> str:
    """A standalone module that defines `kernel` with the statements of the reference.

    A returned local array becomes the output parameter itself where that is plainly the same, and
    is copied otherwise. Helpers are compiled too; captured constants become module constants.

    Args:
        reference: The reference.
        flags: Options of `numba.njit`, such as `parallel=True`.
    """
    decorator = f"@numba.njit({', '.join(flags)})" if flags else "@numba.njit"
    return _module(reference, ["import numba", "import numpy as np"], f"{decorator}\n")


def pythran_source(reference: Reference) -> str:
    """As `plain_source`, for Pythran, which does not know `...` as an index."""
    tree = ast.parse(_module(reference, ["import numpy as np"], ""))
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(slice=ast.Constant(value=value)) if value is ...:
                node.slice = ast.Slice()
            case _:
                pass
    return ast.unparse(tree) + "\n"


def _module(reference: Reference, imports: Sequence[str], before: str) -> str:
    """The imports, what the reference captures, and its functions, each after some text."""
    closure = reference.closure
    texts = {name: without_annotations(text) for name, text in closure.functions.items()}
    main = ast.parse(texts.pop(closure.name)).body[0]
    assert isinstance(main, ast.FunctionDef)
    contract = reference.contract
    inputs = [a.name for a in contract.arguments]
    kernel = _in_place(main, inputs, contract.outputs) or _wrapped(main, inputs, contract.outputs)
    parts = ["\n".join(dict.fromkeys([*imports, *closure.imports.values()]))]
    constants = closure.constants_text()
    if constants:
        parts.append(constants)
    parts += [f"{before}{text.strip()}" for text in texts.values()]
    parts += [f"{before}{ast.unparse(node)}" for node in kernel]
    return "\n\n\n".join(parts) + "\n"


def _in_place(
    main: ast.FunctionDef, inputs: Sequence[str], outputs: Sequence[Output]
) -> list[ast.FunctionDef] | None:
    """One function that writes the outputs where it would return; None where it returns early."""
    returns = [n for n in ast.walk(main) if isinstance(n, ast.Return)]
    last = main.body[-1]
    if not outputs:
        return [_kernel(main.body, inputs, outputs)] if not returns else None
    if len(returns) != 1 or last is not returns[0] or returns[0].value is None:
        return None
    value = returns[0].value
    values = value.elts if isinstance(value, ast.Tuple) and len(outputs) > 1 else [value]
    if len(values) != len(outputs):
        return None
    body = main.body[:-1]
    taken = {o.name for o in outputs}
    names = {n.id: f"{n.id}_" for s in main.body for n in _names(s) if n.id in taken}
    for output, part in zip(outputs, values, strict=True):
        made = _made_here(body, part, output) if values.count(part) == 1 else None
        if made is None or not isinstance(part, ast.Name):
            body = [*body, _stored(output, part)]
            continue
        place, start = made
        body = [*body[:place], *start, *body[place + 1 :]]
        names[part.id] = output.name
    return [_kernel(_renamed(body, names), inputs, outputs)]


def _wrapped(
    main: ast.FunctionDef, inputs: Sequence[str], outputs: Sequence[Output]
) -> list[ast.FunctionDef]:
    """The reference as it is, and a kernel that calls it."""
    main.name = _REFERENCE
    call = f"{_REFERENCE}({', '.join(inputs)})"
    if not outputs:
        return [main, _kernel(ast.parse(call).body, inputs, outputs)]
    results = [f"result_{o.name}" for o in outputs]
    body: list[ast.stmt] = [*ast.parse(f"{', '.join(results)} = {call}").body]
    body += [_stored(o, ast.Name(r, ast.Load())) for o, r in zip(outputs, results, strict=True)]
    return [main, _kernel(_renamed(body, {}), inputs, outputs)]


def _kernel(
    body: Sequence[ast.stmt], inputs: Sequence[str], outputs: Sequence[Output]
) -> ast.FunctionDef:
    names = ", ".join([*inputs, *(o.name for o in outputs)])
    kernel = ast.parse(f"def kernel({names}):\n    pass").body[0]
    assert isinstance(kernel, ast.FunctionDef)
    kernel.body = list(body) or kernel.body
    return kernel


def _stored(output: Output, value: ast.expr) -> ast.stmt:
    """`out[...] = value`, also outside the names of the function."""
    index = "0" if output.scalar else "..."
    statement = ast.parse(f"{_MARK}{output.name}[{index}] = None").body[0]
    assert isinstance(statement, ast.Assign)
    statement.value = value
    return statement


_MARK = "output_parameter_"
"""Told apart from local variables of the same name until those are renamed."""


def _made_here(
    body: Sequence[ast.stmt], part: ast.expr, output: Output
) -> tuple[int, list[ast.stmt]] | None:
    """The one top-level statement that makes a returned array, and what to put in its place."""
    if not isinstance(part, ast.Name) or output.scalar:
        return None
    bound = [s for s in body if isinstance(s, ast.Assign) and _binds(s, part.id)]
    stores = [n for s in body for n in _names(s) if n.id == part.id and _is_store(n, body)]
    if len(bound) != 1 or len(stores) != 1:
        return None
    content = _content(bound[0].value)
    if content is None:
        return None
    start = [] if content == "" else ast.parse(f"{part.id}[...] = {content}").body
    return body.index(bound[0]), start


def _binds(s: ast.Assign, name: str) -> bool:
    return len(s.targets) == 1 and isinstance(s.targets[0], ast.Name) and s.targets[0].id == name


def _is_store(name: ast.Name, body: Sequence[ast.stmt]) -> bool:
    """Whether a name is bound here; `x += 1` writes an array in place."""
    in_place = any(
        isinstance(n, ast.AugAssign) and n.target is name for s in body for n in ast.walk(s)
    )
    return isinstance(name.ctx, ast.Store) and not in_place


def _content(value: ast.expr) -> str | None:
    """First contents of a fresh array, `""` for undefined ones, None if it may not be fresh."""
    match value:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr=name)) if name in _MAKERS:
            return _MAKERS[name]
        case ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr="copy"), args=[source]):
            return ast.unparse(source)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="copy"), args=[]) if (
            name != "np"
        ):
            return name
        case _:
            return None


def _names(node: ast.AST) -> list[ast.Name]:
    return [n for n in ast.walk(node) if isinstance(n, ast.Name)]


def _renamed(body: Sequence[ast.stmt], names: dict[str, str]) -> list[ast.stmt]:
    for s in body:
        for n in _names(s):
            if n.id.startswith(_MARK):
                n.id = n.id.removeprefix(_MARK)
            else:
                n.id = names.get(n.id, n.id)
    return list(body)
