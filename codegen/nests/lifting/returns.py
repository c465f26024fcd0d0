"""Give a function one return, at its end, by moving what follows a return into the other branch."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from outpace.codegen.nests.lifting.scopes import assignments, walk_own
from outpace.errors import NotLifted

RESULT = "returned"
"""Base of the names that hold results until the end."""
Node = TypeVar("Node", bound=ast.stmt)
LARGEST_FUNCTION = 400
"""Statements beyond which a function has been copied too often."""


def with_one_return(function: ast.FunctionDef) -> list[ast.stmt]:
    """The body, in which only the last statement may be a return.

    Args:
        function: The function.

    Raises:
        NotLifted: It returns at too many places.
    """
    returns = [part for part in walk_own(function) if isinstance(part, ast.Return)]
    last = function.body[-1]
    if not returns or returns == [last]:
        return function.body
    taken = {part.id for part in ast.walk(function) if isinstance(part, ast.Name)}
    base = RESULT
    while any(name.startswith(base) for name in taken):
        base += "_"
    outside = _Leaving(base, function).block(function.body)
    lengths = {len(r.value.elts) if isinstance(r.value, ast.Tuple) else 0 for r in returns}
    count = lengths.pop() if len(lengths) == 1 else 0
    names = [f"{base}{k}" for k in range(count)] if count else [base]
    body = _settled(outside, names, tuple_of=bool(count))
    if sum(isinstance(p, ast.stmt) for s in body for p in ast.walk(s)) > LARGEST_FUNCTION:
        raise NotLifted("returns at many places")
    return body


class Departure(ast.Break):
    """Leaves a loop, after which some variables of the loop are needed once more.

    Attributes:
        kept: The names that their values have afterwards.
    """

    kept: Mapping[str, str]


class _Leaving:
    """Moves returns out of loops, which are left by a `Departure` that says where.

    What is returned is evaluated after the loop, where every name still has the value it had.

    Args:
        base: Base of the names that are made.
        function: The function.
    """

    def __init__(self, base: str, function: ast.FunctionDef) -> None:
        self._base = base
        self._everywhere = assignments(function)
        self._made = 0

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """A block outside of loops."""
        found: list[ast.stmt] = []
        for s in body:
            if isinstance(s, ast.If) and _returns(s):
                branches = self.block(s.body), self.block(s.orelse)
                found.append(_placed(ast.If(s.test, *branches), s))
            elif isinstance(s, ast.For | ast.While) and _returns(s):
                found += self._left(s)
            else:
                found.append(s)
        return found

    def _left(self, loop: ast.For | ast.While) -> list[ast.stmt]:
        """The loop, before it that no return was met, and after it the returns."""
        inside = assignments(loop)
        own = {name for name, count in inside.items() if count == self._everywhere[name]}
        which, ends = self._name("at"), list[ast.Return]()
        changed = self._without_returns(loop, _Loop(which, own, ends))
        after = [
            _placed(ast.If(_compared(which, ast.Eq(), k + 1), [end], []), end)
            for k, end in enumerate(ends)
        ]
        return [_assigned(which, 0, loop), changed, *after]

    def _without_returns(self, loop: ast.For | ast.While, of: _Loop) -> ast.For | ast.While:
        body = self._inside(loop.body, of)
        if isinstance(loop, ast.For):
            return _placed(ast.For(loop.target, loop.iter, body, loop.orelse, None), loop)
        return _placed(ast.While(loop.test, body, loop.orelse), loop)

    def _inside(self, block: Sequence[ast.stmt], of: _Loop) -> list[ast.stmt]:
        """A block in a loop."""
        found: list[ast.stmt] = []
        for s in block:
            if isinstance(s, ast.Return):
                return [*found, *self._departure(s, of)]
            if isinstance(s, ast.If) and _returns(s):
                branches = self._inside(s.body, of), self._inside(s.orelse, of)
                found.append(_placed(ast.If(s.test, *branches), s))
            elif isinstance(s, ast.For | ast.While) and _returns(s):
                found.append(self._without_returns(s, of))
                met = _compared(of.which, ast.NotEq(), 0)
                found.append(_placed(ast.If(met, [ast.Break()], []), s))
            else:
                found.append(s)
        return found

    def _departure(self, s: ast.Return, of: _Loop) -> list[ast.stmt]:
        """What leaves the loop in place of a return."""
        used = {p.id for p in ast.walk(s) if isinstance(p, ast.Name)} & of.own
        leave = Departure()
        leave.kept = {name: self._name("kept") for name in sorted(used)}
        value = None if s.value is None else _Renamed(leave.kept).visit(copy.deepcopy(s.value))
        of.ends.append(_placed(ast.Return(value), s))
        return [_assigned(of.which, len(of.ends), s), _placed(leave, s)]

    def _name(self, what: str) -> str:
        self._made += 1
        return f"{self._base}_{what}{self._made}"


@dataclass(frozen=True)
class _Loop:
    """The outermost loop around some returns.

    Attributes:
        which: The variable that says which return was met, from 1 on.
        own: Names that are bound nowhere else.
        ends: The returns, as they are after the loop.
    """

    which: str
    own: set[str]
    ends: list[ast.Return]


class _Renamed(ast.NodeTransformer):
    """Other names for some variables.

    Args:
        names: The new name of each.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """The variable under its new name."""
        return ast.Name(self._names.get(node.id, node.id), node.ctx)


def _assigned(name: str, value: int, like: ast.stmt) -> ast.stmt:
    return _placed(ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value)), like)


def _compared(name: str, op: ast.cmpop, value: int) -> ast.expr:
    return ast.Compare(ast.Name(name, ast.Load()), [op], [ast.Constant(value)])


def _placed(node: Node, like: ast.stmt) -> Node:
    return ast.fix_missing_locations(ast.copy_location(node, like))


def _settled(body: Sequence[ast.stmt], names: list[str], *, tuple_of: bool) -> list[ast.stmt]:
    """The block with one return at the end."""
    for place, s in enumerate(body):
        if isinstance(s, ast.Return):
            return list(body[: place + 1])
        if not isinstance(s, ast.If) or not _returns(s):
            continue
        rest = body[place + 1 :]
        chosen = _settled([*s.body, *rest], names, tuple_of=tuple_of)
        other = _settled([*s.orelse, *rest], names, tuple_of=tuple_of)
        branches = [_kept(b, names, s, tuple_of=tuple_of) for b in (chosen, other)]
        branch = ast.copy_location(ast.If(s.test, branches[0], branches[1]), s)
        end = ast.Return(_value(names, ast.Load(), tuple_of=tuple_of))
        return [*body[:place], branch, ast.fix_missing_locations(ast.copy_location(end, s))]
    return list(body)


def _kept(
    body: list[ast.stmt], names: list[str], like: ast.stmt, *, tuple_of: bool
) -> list[ast.stmt]:
    """A block whose result is assigned instead of returned."""
    last = body[-1] if body else None
    value: ast.expr = ast.Constant(None)
    end = _value(names, ast.Load(), tuple_of=tuple_of)
    if isinstance(last, ast.Return) and last.value and ast.dump(last.value) == ast.dump(end):
        return body[:-1]
    if isinstance(last, ast.Return):
        value = last.value or value
        body = body[:-1]
    assigned = ast.Assign([_value(names, ast.Store(), tuple_of=tuple_of)], value)
    place = last if isinstance(last, ast.Return) else like
    return [*body, ast.fix_missing_locations(ast.copy_location(assigned, place))]


def _value(names: list[str], context: ast.expr_context, *, tuple_of: bool) -> ast.expr:
    parts: list[ast.expr] = [ast.Name(n, context) for n in names]
    return ast.Tuple(parts, context) if tuple_of else parts[0]


def _returns(s: ast.stmt) -> bool:
    return any(isinstance(part, ast.Return) for part in walk_own(s))
