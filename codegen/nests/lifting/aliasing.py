"""What the source of a function says about names that may stand for the same memory.

While lifting, a name that is bound again inside a loop keeps its memory, so `b = a` there becomes a
copy. That is right only if neither array is written in place while Python would see one array.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

Functions = Mapping[str, ast.FunctionDef]
_WRITING_METHODS = ("fill", "sort", "resize", "put", "partition", "itemset", "setflags")
_WRITING_FUNCTIONS = ("copyto", "fill_diagonal", "place", "put", "putmask", "at")
"""Of NumPy, and methods of its ufuncs: they write their first argument."""


def is_copy_safe(function: ast.FunctionDef, functions: Functions, names: set[str]) -> bool:
    """Whether none of these names, nor one that may be a view of them, is written in place."""
    written = set(written_in_place(function, functions))
    return not related(function, names, functions) & written


def is_call_safe(caller: ast.FunctionDef, helper: ast.FunctionDef, functions: Functions) -> bool:
    """Whether a caller writes in place neither what it gives to a helper nor what it gets."""
    names: set[str] = set()
    if any(part is helper for part in ast.walk(caller)):  # which sees the caller's variables
        names = {part.id for part in ast.walk(helper) if isinstance(part, ast.Name)}
    for part in ast.walk(caller):
        if not isinstance(part, ast.Assign | ast.AnnAssign | ast.For | ast.Call):
            continue
        if isinstance(part, ast.Call):
            if _is_call(part, helper, functions):
                given = (*part.args, *(k.value for k in part.keywords))
                names.update(n for a in given for n in _may_show(a, functions))
        elif any(_is_call(inner, helper, functions) for inner in ast.walk(part)):
            targets = part.targets if isinstance(part, ast.Assign) else [part.target]
            names.update(n for t in targets for n in _bound(t))
    return is_copy_safe(caller, functions, names)


def _is_call(node: ast.AST, helper: ast.FunctionDef, functions: Functions) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return functions.get(name) is helper
        case _:
            return False


def keeps_order(function: ast.FunctionDef) -> bool:
    """Whether all arrays that a function makes lie in memory in the order of their indices.

    Views of arrays that have no name of their own do not, and what is computed from arrays in
    another order has that order too.
    """
    return not any(_changes_order(part) for part in ast.walk(function))


def _changes_order(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr=name) | ast.Call(func=ast.Name(id=name)):
            return name in _REORDERING
        case ast.keyword(arg="order"):
            return True
        case ast.Subscript(value=base, slice=index, ctx=ast.Load()):
            while isinstance(base, ast.Subscript | ast.Attribute):
                base = base.value
            items = index.elts if isinstance(index, ast.Tuple) else [index]
            slices = any(isinstance(i, ast.Slice) for i in items)
            known = (ast.Slice, ast.Constant, ast.UnaryOp)  # others may be arrays of indices
            is_plain = isinstance(base, ast.Name) and all(isinstance(i, known) for i in items)
            return slices and not is_plain
        case _:
            return False


_REORDERING = frozenset(
    {
        "T", "mT", "transpose", "permute_dims", "matrix_transpose", "swapaxes", "moveaxis",
        "rollaxis", "einsum", "flip", "fliplr", "flipud", "rot90", "broadcast_to", "diag",
        "diagonal", "real", "imag", "split", "array_split", "hsplit", "vsplit", "dsplit",
        "sliding_window_view", "asfortranarray", "broadcast_arrays",
    }
)  # fmt: skip
"""Names of functions and attributes that give views in which the order of memory is another."""


def is_fresh_copy_safe(
    function: ast.FunctionDef, functions: Functions, block: Sequence[ast.stmt], node: ast.stmt
) -> bool:
    """Whether `x = y` in a block follows `y = <new array>` there, and `y` is written between only.

    Neither is written afterwards, so it does not matter that they are one array from then on.
    """
    match node:
        case ast.Assign(targets=[ast.Name(id=x)], value=ast.Name(id=y)):
            pass
        case _:
            return False
    end = next((k for k, s in enumerate(block) if s is node), None)
    if end is None:
        return False
    made = [k for k, s in enumerate(block[:end]) if _binds_new(s, y, functions)]
    others = related(function, {x, y}, functions) - {y}
    written = list(written_in_place(function, functions))
    if not made or others & set(written):
        return False
    between = list(written_in_place(ast.Module(list(block[made[-1] + 1 : end]), []), functions))
    return between.count(y) == written.count(y)


def written_in_place(node: ast.AST, functions: Functions, depth: int = 0) -> Iterator[str]:
    """Names whose arrays are written by stores, updates, methods or helpers, once per place."""
    for part in ast.walk(node):
        match part:
            case ast.Subscript(ctx=ast.Store()) | ast.Attribute(ctx=ast.Store()):
                yield from _roots(part)
            case ast.AugAssign(target=ast.Name(id=name)):
                yield name
            case ast.Call(func=ast.Attribute(value=owner, attr=method)) if (
                method in _WRITING_METHODS or method in _WRITING_FUNCTIONS
            ):
                yield from _roots(owner)
                yield from (n for a in part.args[:1] for n in _roots(a))
            case ast.Call(func=ast.Name(id=called)) if called in functions and depth < 8:
                yield from _written_by_helper(part, functions[called], functions, depth)
            case _:
                pass
        if isinstance(part, ast.Call):
            yield from (n for k in part.keywords if k.arg == "out" for n in _roots(k.value))


def _written_by_helper(
    call: ast.Call, helper: ast.FunctionDef, functions: Functions, depth: int
) -> Iterator[str]:
    """Roots of the arguments that a helper writes."""
    written = related(helper, set(written_in_place(helper, functions, depth + 1)), functions)
    given = dict(zip((a.arg for a in helper.args.args), call.args, strict=False))
    given |= {k.arg: k.value for k in call.keywords if k.arg is not None}
    for name, value in given.items():
        if name in written:
            yield from _roots(value)


def writes_arguments(helper: ast.FunctionDef, functions: Functions) -> bool:
    """Whether a helper may write into what it is given."""
    written = related(helper, set(written_in_place(helper, functions, 1)), functions)
    return bool(written & {a.arg for a in ast.walk(helper.args) if isinstance(a, ast.arg)})


def related(function: ast.AST, names: set[str], functions: Functions, depth: int = 0) -> set[str]:
    """The names, and all that assignments may make views of the same arrays."""
    pairs: list[tuple[set[str], set[str]]] = []
    for part in ast.walk(function):
        if isinstance(part, ast.Assign):
            targets = {n for t in part.targets for n in _bound(t)}
            pairs.append((targets, set(_may_show(part.value, functions, depth))))
        elif isinstance(part, ast.AnnAssign) and part.value is not None:
            pairs.append((set(_bound(part.target)), set(_may_show(part.value, functions, depth))))
        elif isinstance(part, ast.For):
            pairs.append((set(_bound(part.target)), set(_may_show(part.iter, functions, depth))))
    found = set(names)
    size = -1
    while size < len(found):
        size = len(found)
        for targets, sources in pairs:
            if found & (targets | sources) and sources:
                found |= targets | sources
    return found


def _bound(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from _bound(part)


def _may_show(value: ast.expr, functions: Functions, depth: int = 0) -> Iterator[str]:
    """Names of arrays of which the value may be, or hold, a view."""
    parts: list[ast.expr] = []
    match value:
        case ast.Name(id=name):
            yield name
        case ast.Subscript(value=base) | ast.Attribute(value=base) | ast.Starred(value=base):
            parts = [base]
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            pass
        case ast.IfExp(body=body, orelse=orelse):
            parts = [body, orelse]
        case ast.Call(func=ast.Name(id=called)) if called in functions and _makes_new(
            functions[called], functions, depth
        ):
            pass
        case ast.Call(func=function, args=arguments):
            method = function.attr if isinstance(function, ast.Attribute) else ""
            owner = [function.value] if isinstance(function, ast.Attribute) else []
            parts = [] if method in _COPYING else [*owner, *arguments]
        case _:
            pass
    for part in parts:
        yield from _may_show(part, functions, depth)


def _makes_new(helper: ast.FunctionDef, functions: Functions, depth: int) -> bool:
    """Whether what a helper returns shows nothing but arrays of its own."""
    if depth > 8:
        return False
    returned = [part.value for part in ast.walk(helper) if isinstance(part, ast.Return)]
    shown = {n for v in returned if v is not None for n in _may_show(v, functions, depth + 1)}
    given = {a.arg for a in ast.walk(helper.args) if isinstance(a, ast.arg)}
    bound = {n for part in ast.walk(helper) for n in _stored(part)}
    return shown <= bound and not shown & related(helper, given, functions, depth + 1)


def _stored(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id


_COPYING = frozenset(
    {
        "copy", "zeros_like", "ones_like", "empty_like", "full_like", "array", "sum", "mean", "max",
        "min", "exp", "sqrt", "log", "sin", "cos", "where", "maximum", "minimum", "abs", "dot",
        "matmul", "outer", "roll", "clip", "astype", "zeros", "ones", "empty", "full", "add",
        "subtract", "multiply", "divide", "concatenate", "hstack", "vstack", "stack", "tanh",
        "power", "absolute", "flatten", "cumsum", "square",
    }
)  # fmt: skip
"""Functions and methods that never return a view."""


def _roots(node: ast.expr) -> Iterator[str]:
    """The name that a chain of subscripts, attributes and methods starts from."""
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        if isinstance(node, ast.Call):
            yield from (n for a in node.args for n in _roots(a))
            node = node.func
        else:
            node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _binds_new(s: ast.stmt, name: str, functions: Functions) -> bool:
    """Whether a statement binds a name to an array that nothing else holds."""
    match s:
        case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
            return not list(_may_show(value, functions))
        case _:
            return False
