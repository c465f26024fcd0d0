"""Programs in DaCe's form: `@dace.program` with the shapes of a workload, optimised ahead."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from itertools import count

from outpace.codegen.dims import shape_of
from outpace.codegen.reference import Reference
from outpace.model import Argument, Workload
from peers.forms import (
    Form,
    hand_port,
    head_of,
    integer_names,
    is_size,
    plain_functions,
    sizes_text,
)

_BUILD = """from pathlib import Path

import dace
from dace.transformation.auto.auto_optimize import auto_optimize

dace.Config.set("default_build_folder", value=str(Path("cache").resolve()))

from ported import {name} as function

graph = function.to_sdfg(simplify=True)
{optimise}
Path("built").write_text(graph.compile().sdfg.build_folder)
"""
_AUTOMATIC = "auto_optimize(graph, dace.DeviceType.CPU)"
_STRICT = """
_flags = dace.Config.get("compiler", "cpu", "args").replace("-ffast-math", "")
dace.Config.set("compiler", "cpu", "args", value=_flags)
"""
_OPTIMISE = {
    "auto_opt": _AUTOMATIC,
    "auto_opt, without fast math": _AUTOMATIC + _STRICT,
    "simplified": "",
}
_RESERVED = ("new", "delete", "this", "auto", "union", "default")
_PROGRAM = """from pathlib import Path

import dace
from dace.sdfg.utils import load_precompiled_sdfg

dace.Config.set("compiler", "allow_view_arguments", value=True)
_folder = Path(__file__).with_name("built").read_text()
_function = load_precompiled_sdfg(_folder)


def program({parameters}):
    return _function({arguments})
"""


def dace_forms(reference: Reference, workload: Workload) -> list[Form]:
    """The reference, and a port by hand where there is one, each built in three ways.

    Integer arguments, which a workload fixes, are constants, as shapes are.
    """
    name = reference.written.__name__
    texts = {"": _ported(reference, workload)}
    port = hand_port("dace", name)
    if port is not None:
        texts["by hand, "] = port
    parameters = [a.name for a in reference.contract.arguments]
    kept = [a.name for a in reference.contract.arguments if not is_size(a)]
    program = _PROGRAM.format(
        parameters=", ".join(parameters), arguments=", ".join(f"{n}={n}" for n in kept)
    )
    return [
        Form(
            "dace",
            f"{origin}{label}",
            {
                "sizes.py": sizes_text(workload),
                "ported.py": text,
                "build.py": _BUILD.format(name=name, optimise=optimise),
                "program.py": program,
            },
        )
        for origin, text in texts.items()
        for label, optimise in _OPTIMISE.items()
    ]


def _ported(reference: Reference, workload: Workload) -> str:
    """The reference and its helpers as programs; only the reference itself has annotations."""
    closure = reference.closure
    functions = plain_functions(closure)
    functions[closure.name] = _annotated(functions[closure.name], reference, workload)
    texts = [f"@dace.program\n{_adapted(text)}" for text in functions.values()]
    constants = integer_names(reference)
    imported = f"from sizes import {', '.join(constants)}\n" if constants else ""
    head = f"import dace\nimport numpy as np\n{head_of(closure)}{imported}"
    return "\n\n".join([head, *texts])


def _annotated(text: str, reference: Reference, workload: Workload) -> str:
    tree = ast.parse(text)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    by_name = {a.name: a for a in reference.contract.arguments}
    function.args.args = [a for a in function.args.args if not is_size(by_name[a.arg])]
    for parameter in function.args.args:
        annotation = _type_of(by_name[parameter.arg], workload)
        parameter.annotation = ast.parse(annotation, mode="eval").body
    fold_shapes(
        function, {n: shape_of(a.dims, workload.sizes) for n, a in by_name.items() if a.dims}
    )
    return ast.unparse(tree) + "\n"


def fold_shapes(function: ast.FunctionDef, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Put numbers where a function asks for the shapes of its arguments.

    DaCe takes extents only from constants and symbols: names that stand for them are replaced too.

    Args:
        function: Changed in place.
        shapes: Of its array arguments.
    """
    _Shapes(shapes).visit(function)
    stored = Counter(
        n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    )
    numbers: dict[str, ast.expr] = {}
    body: list[ast.stmt] = []
    for statement in function.body:
        _Numbers(numbers).visit(statement)
        found = {n: _number(v) for n, v in _pairs(statement) if stored[n] == 1}
        if found and all(found.values()) and len(found) == len(_pairs(statement)):
            numbers |= {name: value for name, value in found.items() if value is not None}
        else:
            body.append(statement)
    function.body = body


def _number(value: ast.expr) -> ast.Constant | None:
    """The integer that an expression of nothing but integers gives."""
    nodes = (ast.Constant, ast.BinOp, ast.operator, ast.UnaryOp, ast.unaryop)
    if not all(isinstance(node, nodes) for node in ast.walk(value)):
        return None
    result = eval(ast.unparse(value), {})
    return ast.Constant(result) if type(result) is int else None


def _pairs(statement: ast.stmt) -> list[tuple[str, ast.expr]]:
    """Names and values of a plain assignment, element by element; empty for anything else."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return [(name, value)]
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)) if all(
            isinstance(name, ast.Name) for name in names
        ):
            return [(ast.unparse(n), v) for n, v in zip(names, values, strict=True)]
        case _:
            return []


class _Shapes(ast.NodeTransformer):
    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._shapes = shapes

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if node.attr == "shape" and isinstance(node.value, ast.Name):
            shape = self._shapes.get(node.value.id)
            if shape is not None:
                return ast.Tuple([ast.Constant(extent) for extent in shape], ast.Load())
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Subscript(value=ast.Tuple(elts=elements), slice=ast.Constant(value=int(i))):
                return elements[i]
            case _:
                return node


class _Numbers(ast.NodeTransformer):
    def __init__(self, numbers: Mapping[str, ast.expr]) -> None:
        self._numbers = numbers

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._numbers.get(node.id, node)


class _Copies(ast.NodeTransformer):
    """Sums with nothing in place of copies of parts of arrays, which DaCe cannot make."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Subscript() as copied, attr="copy")):
                return ast.BinOp(copied, ast.Add(), ast.Constant(0))
            case _:
                return node


def _adapted(text: str) -> str:
    """A function without methods that DaCe lacks, and names that it or C++ takes otherwise.

    Loops inside each other must not share an index, even one that nobody reads.
    """
    tree = ast.parse(text)
    loops = count()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in _RESERVED:
            node.id += "_"
        elif isinstance(node, ast.For) and ast.unparse(node.target) == "_":
            node.target = ast.Name(f"turn_{next(loops)}", ast.Store())
    _Copies().visit(tree)
    return ast.unparse(tree) + "\n"


def _type_of(argument: Argument, workload: Workload) -> str:
    if argument.dims is None:
        return f"dace.{argument.dtype}"
    shape = shape_of(argument.dims, workload.sizes)
    return f"dace.{argument.dtype}[{', '.join(map(str, shape))}]"
