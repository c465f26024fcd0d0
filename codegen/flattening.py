"""Source that takes structures, rewritten to take their fields: what drafts are made from.

`state.u` becomes the name `state_u`, and a helper that is handed the structure is handed its
fields. Nothing but names changes, so that lines and comments stay where they are.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any

from outpace.codegen.source import SourceClosure, closure_of
from outpace.codegen.structured import Field, Form, Structure, rebinding
from outpace.errors import ContractError

_Handed = dict[int | str, Structure]
"""The structures that a call hands on, by place or keyword."""


def flat_closure(fn: Callable[..., Any], structures: Mapping[str, Structure]) -> SourceClosure:
    """The closure of a function, all of whose functions take fields.

    Raises:
        ContractError: See `closure_of`; or a structure is used as a whole, or a field is bound to
            another object.
    """
    flattening = _Flattening(fn.__name__, structures)
    closure = closure_of(fn, flattening.flat)
    flattening.refuse_unread(closure.functions)
    return closure


class _Flattening:
    """Rewrites a function and then its helpers, whose calls say what they are handed."""

    def __init__(self, name: str, structures: Mapping[str, Structure]) -> None:
        own: _Handed = {s.name: s for s in structures.values()}
        self._calls: dict[str, list[tuple[str, _Handed]]] = {name: [(name, own)]}
        self._names: dict[str, list[str]] = {}

    def flat(self, text: str) -> str:
        """The flat form of a function; one that calls it must have come before."""
        function = ast.parse(text).body[0]
        assert isinstance(function, ast.FunctionDef)
        name, arguments = function.name, function.args
        self._names[name] = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
        rewriting = _Rewriting(text, function, self._taken(name))
        for called, handed in rewriting.calls:
            self._calls.setdefault(called, []).append((name, handed))
            if called in self._names:
                self._taken(called)
        return rewriting.text()

    def refuse_unread(self, functions: Collection[str]) -> None:
        """Raise ContractError if anything but a function that was rewritten is handed one."""
        for name, calls in self._calls.items():
            handed = [structure for _, each in calls for structure in each.values()]
            if handed and name not in functions:
                raise ContractError(
                    f"`{name}` is handed `{handed[0].name}` as a whole, and is no plain function "
                    f"of yours; hand it what it needs, such as `{_first(handed[0])}`"
                )

    def _taken(self, name: str) -> dict[str, Structure]:
        """The parameters of a function that are structures, by all calls so far.

        Raises:
            ContractError: Two calls differ.
        """
        taken: list[dict[str, Structure]] = []
        for user, handed in self._calls.get(name, []):
            taken.append({s.name: s for s in self._by_parameter(name, handed)})
            kinds = [{n: s.made_of for n, s in found.items()} for found in (taken[0], taken[-1])]
            if kinds[0] != kinds[1]:
                raise ContractError(
                    f"{user} calls `{name}` with other structures than it is called with elsewhere;"
                    " write two functions"
                )
        return taken[0] if taken else {}

    def _by_parameter(self, name: str, handed: _Handed) -> Iterator[Structure]:
        names = self._names[name]
        for key, structure in handed.items():
            if isinstance(key, int) and key >= len(names):
                raise ContractError(
                    f"{name} takes `{structure.name}` as one of `*` arguments; name it"
                )
            yield replace(structure, name=names[key] if isinstance(key, int) else key)


class _Rewriting(ast.NodeVisitor):
    """One function, whose parameters of these names are structures.

    Attributes:
        calls: Functions that are called by name, and what they are handed.
    """

    def __init__(
        self, text: str, function: ast.FunctionDef, structures: Mapping[str, Structure]
    ) -> None:
        self.calls: list[tuple[str, _Handed]] = []
        self._source = text.encode()
        self._name = function.name
        self._structures = structures
        lines = self._source.splitlines(keepends=True)
        self._lines = [line.decode().strip() for line in lines]
        self._starts = list(accumulate(map(len, lines), initial=0))
        self._edits: list[tuple[int, int, str]] = []
        self._refuse_clashes(function)
        arguments = function.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            structure = structures.get(argument.arg)
            if structure is not None:
                parts = (f"{structure.flat(f)}: {f.annotation}" for f in structure.fields)
                self._edit(argument, ", ".join(parts))
        defaults = [*arguments.defaults, *filter(None, arguments.kw_defaults)]
        for node in (*defaults, *function.body):
            self.visit(node)

    def text(self) -> str:
        """The function with all names changed."""
        parts, done = [], 0
        for begin, end, new in sorted(self._edits):
            parts += [self._source[done:begin], new.encode()]
            done = end
        return b"".join([*parts, self._source[done:]]).decode()

    # --- What may be done with a structure ------------------------------------------------------

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._visit_read(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._visit_read(node)

    def _visit_read(self, node: ast.Attribute | ast.Subscript) -> None:
        found = self._field(node)
        if found is None:
            self.generic_visit(node)
        elif isinstance(node.ctx, ast.Load):
            self._edit(node, found[0].flat(found[1]))
        else:
            raise self._with_line(node, rebinding(*found))

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """`state.u += x` writes into an array, but binds a scalar anew."""
        found = self._field(node.target)
        if found is None or not found[1].is_array:
            self.generic_visit(node)
        else:
            self._edit(node.target, found[0].flat(found[1]))
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        """`u, v = state` takes a named tuple apart."""
        structure = self._whole(node.value)
        are_tuples = all(isinstance(target, ast.Tuple) for target in node.targets)
        if structure is None or structure.form is not Form.NAMED_TUPLE or not are_tuples:
            self.generic_visit(node)
            return
        self._edit(node.value, f"({_listed(structure)},)")
        for target in node.targets:
            self.visit(target)

    def visit_Call(self, node: ast.Call) -> None:
        """A helper that is called by its name may be handed the structure."""
        if not isinstance(node.func, ast.Name) or self._whole(node.func) is not None:
            self.generic_visit(node)
            return
        handed: _Handed = {}
        for place, argument in enumerate(node.args):
            structure = self._whole(argument)
            if structure is None:
                self.visit(argument)
            else:
                handed[place] = structure
                self._edit(argument, _listed(structure))
        for keyword in node.keywords:
            structure = self._whole(keyword.value)
            if structure is None or keyword.arg is None:
                self.visit(keyword.value)
            else:
                handed[keyword.arg] = structure
                there = replace(structure, name=keyword.arg)
                pairs = (f"{there.flat(f)}={structure.flat(f)}" for f in structure.fields)
                self._edit(keyword, ", ".join(pairs))
        if handed and any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self._used_whole(node, next(iter(handed.values())))
        self.calls.append((node.func.id, handed))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Places within an f-string are unknown before Python 3.12, so it is written anew."""
        if any(self._whole(part) is not None for part in ast.walk(node)):
            flat = _FieldNames(self._field).visit(copy.deepcopy(node))
            for part in ast.walk(flat):
                self._refuse_whole(node, part)
            self._edit(node, ast.unparse(flat))

    def visit_Name(self, node: ast.Name) -> None:
        self._refuse_whole(node, node)

    # --- Parts ----------------------------------------------------------------------------------

    def _whole(self, node: ast.AST) -> Structure | None:
        """The structure that a name stands for."""
        return self._structures.get(node.id) if isinstance(node, ast.Name) else None

    def _field(self, node: ast.AST) -> tuple[Structure, Field] | None:
        """The field that `state.u` or `state["u"]` stands for.

        Raises:
            ContractError: There is none of that name.
        """
        if not isinstance(node, ast.Attribute | ast.Subscript):
            return None
        structure = self._whole(node.value)
        if structure is None:
            return None
        field = None
        match node, structure.form:
            case ast.Attribute(attr=name), Form.DATACLASS | Form.NAMED_TUPLE:
                field = structure.named(name)
            case ast.Subscript(slice=ast.Constant(value=str(name))), Form.TYPED_DICT:
                field = structure.named(name)
            case ast.Subscript(slice=ast.Constant(value=int(place))), Form.NAMED_TUPLE:
                field = structure.fields[place] if place < len(structure.fields) else None
        if field is None:
            raise self._used_whole(node, structure)
        return structure, field

    def _refuse_whole(self, place: ast.expr, node: ast.AST) -> None:
        structure = self._whole(node)
        if structure is not None:
            raise self._used_whole(place, structure)

    def _used_whole(self, node: ast.expr, structure: Structure) -> ContractError:
        return self._with_line(
            node,
            ContractError(
                f"`{structure.name}` is taken as its fields, and used as a whole; read a field, "
                f"`{_first(structure)}`, or hand it to a plain function of yours"
            ),
        )

    def _with_line(self, node: ast.expr, error: ContractError) -> ContractError:
        return ContractError(f"{self._name}, in `{self._lines[node.lineno - 1]}`: {error}")

    def _refuse_clashes(self, function: ast.FunctionDef) -> None:
        """No name of the function may be that of a field, nor hide a structure."""
        flat = {s.flat(f): (s, f) for s in self._structures.values() for f in s.fields}
        for name in _names(function):
            if name in flat:
                structure, field = flat[name]
                raise ContractError(
                    f"{self._name} uses the name {name!r}, under which drafts know "
                    f"`{structure.expression(field)}`; rename it"
                )
        inner = [n for s in function.body for n in ast.walk(s) if isinstance(n, ast.arg)]
        for argument in inner:
            if argument.arg in self._structures:
                raise ContractError(
                    f"{self._name} holds a function with an argument {argument.arg!r}; rename it"
                )

    def _edit(self, node: ast.expr | ast.arg | ast.keyword, new: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        begin = self._starts[node.lineno - 1] + node.col_offset
        self._edits.append((begin, self._starts[node.end_lineno - 1] + node.end_col_offset, new))


class _FieldNames(ast.NodeTransformer):
    """Reads of fields become names."""

    def __init__(self, field: Callable[[ast.AST], tuple[Structure, Field] | None]) -> None:
        self._field = field

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._read(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        return self._read(node)

    def _read(self, node: ast.Attribute | ast.Subscript) -> ast.AST:
        found = self._field(node)
        if found is None:
            return self.generic_visit(node)
        structure, field = found
        return ast.copy_location(ast.Name(structure.flat(field), ast.Load()), node)


def _names(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def _listed(structure: Structure) -> str:
    return ", ".join(map(structure.flat, structure.fields))


def _first(structure: Structure) -> str:
    return structure.expression(structure.fields[0])
