"""Lift loops and branches."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import (
    Apply,
    Constant,
    Expression,
    If,
    Jump,
    Loop,
    Op,
    Position,
    Statement,
    Variable,
    While,
)
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.expressions import Expressions
from outpace.codegen.nests.lifting.indexing import subscript
from outpace.codegen.nests.lifting.names import Names
from outpace.codegen.nests.lifting.scopes import (
    assignments,
    full_range,
    integer_expression,
    is_variable,
    same_value,
    variable_value,
)
from outpace.codegen.nests.lifting.values import Lifted, Value, position
from outpace.errors import NotLifted

LONGEST_UNROLLED = 32
"""Elements of a tuple over which a loop is written out."""
_Bounds = tuple[Affine, Affine, Affine]


class Control(ABC):
    """Loops and branches around statements that a subclass lifts.

    Args:
        builder: Takes the statements.
        expressions: Lifts expressions.
        names: Binds names.
    """

    def __init__(self, builder: Builder, expressions: Expressions, names: Names) -> None:
        self._builder = builder
        self._expressions = expressions
        self._names = names

    @abstractmethod
    def _statement(self, node: ast.stmt, block: Sequence[ast.stmt]) -> None:
        """Lift one statement of a block."""

    @abstractmethod
    def _assign_one(
        self, target: ast.expr, value: Lifted, block: Sequence[ast.stmt], at: ast.stmt
    ) -> None:
        """Give one target of an assignment its value."""

    def _block(self, body: Sequence[ast.stmt]) -> tuple[Statement, ...]:
        with self._builder.block() as block:
            for statement in body:
                self._statement(statement, body)
        return tuple(block)

    # --- Loops ----------------------------------------------------------------------------------

    def _for(self, node: ast.For) -> None:
        if node.orelse:
            raise NotLifted("a loop with else")
        match node.iter:
            case ast.Call(func=ast.Name(id="range"), args=ends, keywords=[]):
                self._counted(node, self._range(ends), self._index(node))
            case ast.Call(
                func=ast.Name(id="reversed"),
                args=[ast.Call(func=ast.Name(id="range"), args=ends, keywords=[])],
            ):
                start, stop, step = self._range(ends)
                if step != affine.ONE:
                    raise NotLifted("reversed of a range with a step")
                one = affine.ONE
                back = affine.minus(stop, one), affine.minus(start, one), affine.constant(-1)
                self._counted(node, back, self._index(node))
            case _:
                self._over_elements(node)

    def _range(self, ends: list[ast.expr]) -> _Bounds:
        bounds = [self._expressions.value(a) for a in ends]
        if any(v.is_array or v.dtype[0] not in "iu" for v in bounds):
            raise NotLifted("a range of anything but integers")
        return full_range([self._builder.size(v.scalar) for v in bounds])

    def _index(self, node: ast.For) -> str:
        if not isinstance(node.target, ast.Name):
            raise NotLifted("a loop over a range with several variables")
        return node.target.id

    def _over_elements(self, node: ast.For) -> None:
        """Over an array, `enumerate(...)`, `zip(...)`, or a tuple written out."""
        counter: str | None = None
        source, target = node.iter, node.target
        match source:
            case ast.Call(func=ast.Name(id="enumerate"), args=[inner], keywords=[]):
                if not isinstance(target, ast.Tuple) or not isinstance(target.elts[0], ast.Name):
                    raise NotLifted("enumerate without two variables")
                counter, source, target = target.elts[0].id, inner, target.elts[1]
            case _:
                pass
        zipped = isinstance(source, ast.Call) and ast.unparse(source.func) == "zip"
        parts = source.args if zipped and isinstance(source, ast.Call) else [source]
        arrays = [self._expressions.lift(part) for part in parts]
        tuples = [a for a in arrays if isinstance(a, tuple)]
        if tuples and len(tuples) == len(arrays):
            items = tuple(zip(*tuples, strict=False)) if zipped else tuples[0]
            self._unrolled(node, counter, target, items)
            return
        extents = {a.shape[0] for a in arrays if isinstance(a, Value) and a.shape}
        found = [a for a in arrays if isinstance(a, Value) and a.shape]
        if len(extents) != 1 or len(found) < len(arrays):
            raise NotLifted("a loop over anything but range(...) or arrays of one known length")
        held = [self._names.settled(a, "items") for a in found]
        stop = self._builder.extent(extents.pop())

        def each(at: Value) -> None:
            items = [subscript(self._builder, v, [at]) for v in held if isinstance(v, Value)]
            if counter is not None:
                self._names.environment[counter] = at
            settled = self._names.settled(tuple(items), "item")
            assert isinstance(settled, tuple)
            self._assign_one(target, settled if zipped else settled[0], node.body, node)

        self._counted(node, (affine.ZERO, stop, affine.ONE), counter or "k", each)

    def _unrolled(
        self, node: ast.For, counter: str | None, target: ast.expr, items: tuple[Any, ...]
    ) -> None:
        """The body once for every element of a tuple."""
        body = _without_continue(node.body)
        if len(items) > LONGEST_UNROLLED or any(map(_jumps, body)):
            raise NotLifted("a loop over a long tuple, or one that is left early")
        for place, item in enumerate(items):
            if counter is not None:
                self._names.environment[counter] = position(affine.constant(place))
            self._take(target, self._names.settled(item, "item"), body, node)
            for statement in body:
                self._statement(statement, body)
        for name in assignments(node.target):
            if not is_variable(self._names.environment.get(name)):
                self._names.environment.pop(name, None)

    def _take(
        self, target: ast.expr, item: Lifted, body: Sequence[ast.stmt], node: ast.For
    ) -> None:
        """Bind an element; a number that the body does not change stays a literal."""
        match target, item:
            case ast.Name(id=name), Value() if not item.is_array:
                changes = name in self._names.frame.carried or assignments(*body)[name]
                if isinstance(item.scalar, Constant) and not changes:
                    self._names.environment[name] = item
                    return
            case ast.Tuple(elts=parts), tuple() if len(parts) == len(item):
                for part, one in zip(parts, item, strict=True):
                    self._take(part, one, body, node)
                return
            case _:
                pass
        self._assign_one(target, item, body, node)

    def _counted(
        self,
        node: ast.For,
        bounds: _Bounds,
        name: str,
        each: Callable[[Value], None] | None = None,
    ) -> None:
        """A loop over integers; `each` binds what else changes with them."""
        start, stop, step = bounds
        loops = sum(
            isinstance(part, ast.For) and name in assignments(part.target)
            for part in ast.walk(node)
        )
        if each is None and assignments(node)[name] > loops:
            raise NotLifted(f"the loop variable {name} is assigned")
        if name in self._names.frame.carried:
            raise NotLifted(f"the loop variable {name} has a value from before")
        index = self._builder.fresh(name)
        if not step.terms and step.constant:
            last = affine.plus(stop, affine.constant(-1 if step.constant > 0 else 1))
            known = (start, last) if step.constant > 0 else (last, start)
            self._builder.bounds.add_loop(index, *known)
        self._names.prepare(node.body)
        before = dict(self._names.environment)
        at = position(affine.symbol(index))
        if each is None:
            self._names.environment[name] = at
        with self._carrying(before), self._builder.block() as block:
            if each is not None:
                each(at)
            for statement in node.body:
                self._statement(statement, node.body)
        low, high, by = (integer_expression(a) for a in (start, stop, step))
        self._builder.emit(Loop(index, low, high, by, tuple(block)))
        for gone in assignments(node.target):
            self._names.environment.pop(gone, None)
        self._names.leave(before)

    def _while(self, test: ast.expr, body: list[ast.stmt]) -> None:
        self._names.prepare(body)
        with self._builder.block() as needed:
            condition = self._expressions.condition(test)
        before = dict(self._names.environment)
        inner = self._inside(before, body)
        if needed:  # evaluated in the loop, which it leaves by itself
            ends = Apply(Op.LOGICAL_NOT, (condition,), "bool")
            inner = (*needed, If(ends, (Jump.BREAK,), ()), *inner)
            condition = Constant(True, "bool")
        self._builder.emit(While(condition, inner))
        self._names.leave(before)

    def _inside(self, before: Mapping[str, Lifted], body: list[ast.stmt]) -> tuple[Statement, ...]:
        """A block that may run any number of times."""
        with self._carrying(before):
            return self._block(body)

    @contextmanager
    def _carrying(self, before: Mapping[str, Lifted]) -> Iterator[None]:
        frame = self._names.frame
        carried = frame.carried
        frame.carried = carried | set(before)
        try:
            yield
        finally:
            frame.carried = carried

    # --- Branches -------------------------------------------------------------------------------

    def _if(self, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        condition = self._expressions.condition(test)
        if isinstance(condition, Constant):
            for statement in body if condition.value else orelse:
                self._statement(statement, body if condition.value else orelse)
            return
        self._names.prepare([*body, *orelse])
        before = dict(self._names.environment)
        chosen = self._inside(before, body)
        first = self._names.environment
        arrays = {n: v for n, v in first.items() if n not in before and self._names.may_merge(n, v)}
        self._names.environment = dict(before)
        other = self._inside(before, orelse)
        second = self._names.environment
        merged = {
            name: self._merged(value, second[name])
            for name, value in first.items()
            if name in second and same_value(value, second[name])
        }
        zero = _zero_where(condition)
        for name, value in arrays.items():
            together = self._joined_array(name, value, second.get(name), zero)
            if together is not None:
                merged[name], first_copy, second_copy = together
                chosen, other = (*chosen, *first_copy), (*other, *second_copy)
        self._names.environment = merged
        self._builder.emit(If(condition, chosen, other))

    def _joined_array(
        self, name: str, value: Lifted, other: Lifted, zero: Affine | None
    ) -> tuple[Value, list[Statement], list[Statement]] | None:
        """One array for a name that two branches bind, and the copies at their ends.

        Args:
            name: The name.
            value: What the first branch binds.
            other: What the second one does.
            zero: What is 0 where the first branch is taken.
        """
        if not isinstance(value, Value) or not isinstance(other, Value):
            return None
        alike = value.dtype == other.dtype and _fits(value.shape, other.shape, zero)
        if not alike or not self._names.may_merge(name, other):
            return None
        joined = self._builder.allocate(name, value.dtype, other.shape)
        assert joined.storage is not None
        self._names.frame.owned.add(joined.storage)
        with self._builder.block() as first:
            self._builder.fill(joined, value)
        with self._builder.block() as second:
            self._builder.fill(joined, other)
        return joined, first, second

    def _merged(self, value: Lifted, other: Lifted) -> Lifted:
        """What a name stands for after two branches in which it is the same."""
        if isinstance(value, Value) and not value.is_array and value is not other:
            variable = value.scalar
            types = self._names.types
            if isinstance(variable, Variable) and variable.name in types:
                return variable_value(variable.name, types[variable.name])
        return value


def _zero_where(condition: Expression) -> Affine | None:
    """The difference of two sizes that a condition says are equal."""
    match condition:
        case Apply(op=Op.EQUAL, operands=(Position(value=a), Position(value=b))):
            return affine.minus(a, b)
        case _:
            return None


def _fits(shape: tuple[Affine, ...], other: tuple[Affine, ...], zero: Affine | None) -> bool:
    """Whether two shapes are the same where an expression, if there is one, is 0."""
    if len(shape) != len(other):
        return False
    gaps = [affine.minus(a, b) for a, b in zip(shape, other, strict=True)]
    known = [affine.ZERO] if zero is None else [affine.ZERO, zero, affine.times(zero, -1)]
    return all(gap in known for gap in gaps)


def _without_continue(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The body of a loop, in which what follows `if ...: continue` is its other branch."""
    for place, s in enumerate(body):
        match s:
            case ast.If(test=test, body=[*before, ast.Continue()], orelse=[]):
                rest = _without_continue(body[place + 1 :])
                chosen: list[ast.stmt] = [*before] or [ast.Pass()]
                branch = ast.copy_location(ast.If(test, chosen, rest), s)
                return [*body[:place], ast.fix_missing_locations(branch)]
            case _:
                pass
    return list(body)


def _jumps(s: ast.AST) -> bool:
    """Whether a statement may leave, or go on with, the loop around it."""
    if isinstance(s, ast.Break | ast.Continue):
        return True
    inner = s.orelse if isinstance(s, ast.For | ast.While) else ast.iter_child_nodes(s)
    return any(map(_jumps, inner))
