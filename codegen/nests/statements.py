"""Lift the statements of a reference.

An array variable is a name for memory: a fresh expression is stored into an array of its own when
it is bound, a view stays a view. A name that is bound again inside a loop keeps its memory, so that
it means the same array in every iteration.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.builder import Builder
from outpace.codegen.nests.elementwise import where
from outpace.codegen.nests.expressions import Expressions, augmented
from outpace.codegen.nests.ir import (
    Assign,
    Constant,
    Expression,
    If,
    Jump,
    Load,
    Loop,
    Position,
    Rebind,
    Variable,
    While,
)
from outpace.codegen.nests.scopes import (
    Types,
    assignments,
    converted_to,
    full_range,
    integer_expression,
    is_rebound,
    is_variable,
    joined_type,
    same_value,
    storage_of,
    stretched,
)
from outpace.codegen.nests.values import (
    Lifted,
    Value,
    broadcast,
    cast,
    element,
    position,
    scalar_value,
)
from outpace.errors import NotLifted


@dataclass
class _Frame:
    """What belongs to one call of a function.

    Attributes:
        counts: How often each name is assigned.
        owned: Arrays that were made here.
        carried: Names that were bound before the loops and branches around this place.
        names: Scalar variables by the name in the source.
    """

    counts: Counter[str]
    owned: set[str] = field(default_factory=set)
    carried: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)


class Statements:
    """Lifts function bodies into a builder.

    Args:
        builder: Takes the statements.
        functions: The reference and its helpers.
        modules: Captured modules, local name to module name.
        constants: Captured constants.
        assumed: Types of scalar variables found by an earlier pass.
        writable: Arguments that may be written.
    """

    def __init__(
        self,
        builder: Builder,
        functions: Mapping[str, ast.FunctionDef],
        modules: Mapping[str, str],
        constants: Mapping[str, Any],
        assumed: Types,
        *,
        writable: frozenset[str],
    ) -> None:
        self._builder = builder
        self._functions = functions
        self._writable = writable
        self._expressions = Expressions(builder, modules, constants, self._call)
        self._frame = _Frame(Counter())
        self._depth = 0
        self.types: Types = dict(assumed)

    @property
    def _environment(self) -> dict[str, Lifted]:
        return self._expressions.environment

    def run(self, function: ast.FunctionDef, arguments: Mapping[str, Lifted]) -> Lifted:
        """Lift a function body; what it returns."""
        outer = self._frame, self._environment
        self._frame = _Frame(assignments(function))
        self._expressions.environment = dict(arguments)
        try:
            for statement in function.body:
                if isinstance(statement, ast.Return):
                    self._at(statement)
                    return None if statement.value is None else self._result(statement.value)
                self._statement(statement)
            return None
        finally:
            self._frame.owned.update(outer[0].owned)
            outer[0].owned.update(self._frame.owned)
            self._frame, self._expressions.environment = outer

    def _result(self, node: ast.expr) -> Lifted:
        return self._expressions.lift(node)

    def _call(self, name: str, arguments: list[Lifted]) -> Lifted:
        """Lift the call of a helper in place."""
        function = self._functions.get(name)
        if function is None:
            raise NotLifted(f"a call of {name}")
        parameters = [a.arg for a in function.args.args]
        if len(parameters) != len(arguments) or self._depth > 8:
            raise NotLifted(f"a call of {name} with defaults, or recursion")
        line = self._builder.line
        self._depth += 1
        passed = [self._settled(a, p) for a, p in zip(arguments, parameters, strict=True)]
        result = self.run(function, dict(zip(parameters, passed, strict=True)))
        self._depth -= 1
        self._builder.line = line
        return result

    def _settled(self, lifted: Lifted, name: str) -> Lifted:
        """An argument evaluated once, before the call."""
        if not isinstance(lifted, Value):
            return lifted
        if not lifted.is_array:
            return self._scalar(lifted, name)
        return lifted if lifted.storage else self._builder.materialised(lifted, name)

    def _scalar(self, value: Value, name: str) -> Value:
        """A scalar that no later statement changes."""
        if isinstance(value.scalar, Constant | Position):
            return value
        return scalar_value(self._builder.named(value.scalar, name), weak=value.weak)

    def _at(self, node: ast.stmt) -> None:
        if self._depth == 0:
            self._builder.line = node.lineno

    # --- Statements -----------------------------------------------------------------------------

    def _block(self, body: list[ast.stmt]) -> tuple[Any, ...]:
        with self._builder.block() as block:
            for statement in body:
                self._statement(statement)
        return tuple(block)

    def _statement(self, node: ast.stmt) -> None:  # noqa: C901  (a dispatch)
        self._at(node)
        match node:
            case ast.Assign(targets=[target], value=value):
                self._assign(target, value)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self._assign(target, value)
            case ast.AugAssign(target=target, op=op, value=value):
                self._augment(target, op, value)
            case ast.For():
                self._for(node)
            case ast.While(test=test, body=body, orelse=[]):
                self._while(test, body)
            case ast.If(test=test, body=body, orelse=orelse):
                self._if(test, body, orelse)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case ast.Expr(value=value):
                self._expressions.lift(value)
            case ast.Break():
                self._builder.emit(Jump.BREAK)
            case ast.Continue():
                self._builder.emit(Jump.CONTINUE)
            case _:
                raise NotLifted(f"`{ast.unparse(node).splitlines()[0]}`")

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        self._builder.hint = target.id if isinstance(target, ast.Name) else "array"
        if isinstance(target, ast.Tuple):
            self._unpack(target, value)
        elif isinstance(target, ast.Name):
            self._bind(target.id, self._expressions.lift(value))
        elif isinstance(target, ast.Subscript):
            self._store_item(target, self._expressions.value(value))
        else:
            raise NotLifted(f"an assignment to `{ast.unparse(target)}`")

    def _augment(self, target: ast.expr, op: ast.operator, value: ast.expr) -> None:
        kind, function = augmented(op)
        right = self._expressions.lift(value)
        if isinstance(target, ast.Name):
            left = self._expressions.lift(target)
            result = self._expressions.binary(kind, function, left, right)
            if isinstance(left, Value) and left.is_array and isinstance(result, Value):
                self._store(left, result)
            else:
                self._bind(target.id, result)
        elif isinstance(target, ast.Subscript):
            left = self._expressions.subscript(target.value, target.slice)
            result = self._expressions.binary(kind, function, left, right)
            assert isinstance(left, Value)
            assert isinstance(result, Value)
            self._store(left, result)
        else:
            raise NotLifted(f"an assignment to `{ast.unparse(target)}`")

    def _unpack(self, target: ast.Tuple, value: ast.expr) -> None:
        names = [t.id for t in target.elts if isinstance(t, ast.Name)]
        if len(names) < len(target.elts):
            raise NotLifted("an assignment to a tuple of anything but names")
        if self._swapped(names, value):
            return
        values = self._expressions.lift(value)
        if not isinstance(values, tuple) or len(values) != len(names):
            raise NotLifted("an assignment to a tuple from something else")
        settled = [self._settled(v, n) for v, n in zip(values, names, strict=True)]
        for name, settled_value in zip(names, settled, strict=True):
            self._bind(name, settled_value)

    def _swapped(self, names: list[str], value: ast.expr) -> bool:
        """Whether the statement exchanges whole arrays among their own names."""
        if not isinstance(value, ast.Tuple):
            return False
        sources = [p.id for p in value.elts if isinstance(p, ast.Name)]
        found = [self._environment.get(n) for n in sources]
        arrays = [v for v in found if isinstance(v, Value) and v.is_array]
        if not arrays or sorted(sources) != sorted(names) or len(arrays) < len(value.elts):
            return False
        targets = [self._environment[n] for n in names]
        same = len({(v.dtype, v.shape) for v in arrays}) == 1
        private = all(self._is_private(n) for n in names)
        if not same or not private:
            raise NotLifted("exchanged arrays that differ in shape, are arguments or have views")
        self._builder.emit(
            Rebind(tuple(storage_of(v) for v in targets), tuple(storage_of(v) for v in arrays))
        )
        return True

    # --- Binding names --------------------------------------------------------------------------

    def _bind(self, name: str, lifted: Lifted) -> None:
        if isinstance(lifted, Value) and lifted.is_array:
            self._bind_array(name, lifted)
        elif isinstance(lifted, Value):
            self._bind_scalar(name, lifted)
        elif name in self._frame.carried and self._environment.get(name) != lifted:
            raise NotLifted(f"{name} changes what it is inside a loop or branch")
        else:
            self._environment[name] = lifted

    def _bind_array(self, name: str, value: Value) -> None:
        old = self._environment.get(name)
        if name in self._frame.carried:
            same = isinstance(old, Value) and (old.shape, old.dtype) == (value.shape, value.dtype)
            if not same or not self._is_private(name) or not isinstance(old, Value):
                raise NotLifted(f"{name} becomes another array inside a loop or branch")
            self._store(old, value)
            return
        if value.storage is None:
            value = self._builder.materialised(value, name)
        assert value.storage is not None
        if not self._is_parameter(value.storage):
            self._frame.owned.add(value.storage)
        self._environment[name] = value

    def _bind_scalar(self, name: str, value: Value) -> None:
        if self._frame.counts[name] == 1:
            if value.weak and value.dtype == "int64":
                self._environment[name] = position(self._builder.size(value.scalar, name))
                return
            if isinstance(value.scalar, Constant):
                self._environment[name] = value
                return
        variable = self._frame.names.get(name)
        if variable is None:
            variable = self._frame.names[name] = self._builder.fresh(name)
        found = (value.dtype, value.weak)
        self.types[variable] = joined_type(self.types.get(variable, found), found, name)
        dtype, weak = self.types[variable]
        self._builder.emit(Assign(variable, cast(value.scalar, dtype)))
        self._environment[name] = scalar_value(Variable(variable, dtype), weak=weak)

    def _is_parameter(self, array: str) -> bool:
        return array in self._builder.shapes and not self._builder.is_allocated(array)

    def _is_private(self, name: str) -> bool:
        """Whether a name is all of an array made here that no other name can see."""
        value = self._environment.get(name)
        if not isinstance(value, Value) or value.storage not in self._frame.owned:
            return False
        seen = [
            other
            for other, v in self._environment.items()
            if isinstance(v, Value) and v.storage == value.storage
        ]
        return seen == [name] and self._builder.is_whole(value)

    # --- Stores ---------------------------------------------------------------------------------

    def _store_item(self, target: ast.Subscript, value: Value) -> None:
        base = self._expressions.value(target.value)
        items = self._expressions.items(target.slice)
        mask = items[0]
        if len(items) == 1 and isinstance(mask, Value) and mask.dtype == "bool" and mask.is_array:
            if value.is_array or mask.shape != base.shape:
                raise NotLifted("a masked assignment of anything but a scalar")
            self._store(base, where(mask, converted_to(value, base.dtype), base))
            return
        view = self._expressions.subscript(target.value, target.slice)
        assert isinstance(view, Value)
        self._store(view, value)

    def _store(self, target: Value, value: Value) -> None:
        """`target[...] = value`, through a temporary where the two may overlap."""
        if target.storage is None:
            raise NotLifted("an assignment through an index array")
        if self._is_parameter(target.storage) and target.storage not in self._writable:
            raise NotLifted(f"it writes into {target.storage}, which `mutates` does not name")
        if np.dtype(value.dtype).kind == "c" and np.dtype(target.dtype).kind != "c":
            raise NotLifted("it stores complex values into a real array")
        if broadcast(target.shape, value.shape) != target.shape:
            raise NotLifted("an assigned value with more axes than its target")
        value = converted_to(value, target.dtype)
        if target.is_array and self._overlaps(target, value):
            value = self._builder.materialised(stretched(value, target.shape), "copy")
        self._builder.fill(target, value)

    def _overlaps(self, target: Value, value: Value) -> bool:
        """Whether some element may be read after it was written."""
        names = [f"?{k}" for k in range(len(target.shape))]
        here = tuple(Position(affine.symbol(n)) for n in names)
        place = target.at(here)
        assert isinstance(place, Load)
        same = dependence.aliases(self._builder.everything)
        memory = same.get(place.array, place.array)
        for part in walk.expressions(element(value, here)):
            if not isinstance(part, Load) or same.get(part.array, part.array) != memory:
                continue
            if part.array != place.array:
                return True
            harmless = part.indices == place.indices and all(
                any(isinstance(i, Position) and n in i.value.names for i in place.indices)
                for n in names
            )
            apart = dependence.never_meet(part.indices, place.indices, names, self._builder.bounds)
            if not harmless and not apart:
                return True
        return False

    # --- Control --------------------------------------------------------------------------------

    def _for(self, node: ast.For) -> None:
        call = node.iter
        if (
            not isinstance(node.target, ast.Name)
            or not isinstance(call, ast.Call)
            or not isinstance(call.func, ast.Name)
            or call.func.id != "range"
            or node.orelse
        ):
            raise NotLifted("a loop over anything but range(...)")
        name = node.target.id
        bounds = [self._expressions.value(a) for a in call.args]
        ends = [self._builder.size(v.scalar) for v in bounds]
        start, stop, step = full_range(ends)
        loops = sum(
            isinstance(part, ast.For) and ast.unparse(part.target) == name
            for part in ast.walk(node)
        )
        if assignments(node)[name] > loops:
            raise NotLifted(f"the loop variable {name} is assigned")
        index = self._builder.fresh(name)
        if not step.terms and step.constant:
            last = affine.plus(stop, affine.constant(-1 if step.constant > 0 else 1))
            known = (start, last) if step.constant > 0 else (last, start)
            self._builder.bounds.add_loop(index, *known)
        self._prepare(node.body)
        before = dict(self._environment)
        self._environment[name] = position(affine.symbol(index))
        body = self._inside(before, node.body)
        low, high, by = (integer_expression(a) for a in (start, stop, step))
        self._builder.emit(Loop(index, low, high, by, body))
        self._environment.pop(name, None)
        self._leave(before)

    def _while(self, test: ast.expr, body: list[ast.stmt]) -> None:
        self._prepare(body)
        with self._builder.block() as needed:
            condition = self._condition(test)
        if needed:
            raise NotLifted("a loop condition that needs statements of its own")
        before = dict(self._environment)
        self._builder.emit(While(condition, self._inside(before, body)))
        self._leave(before)

    def _if(self, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        condition = self._condition(test)
        self._prepare([*body, *orelse])
        before = dict(self._environment)
        chosen = self._inside(before, body)
        first = self._environment
        self._expressions.environment = dict(before)
        other = self._inside(before, orelse)
        second = self._environment
        self._expressions.environment = {
            name: self._merged(value, second[name])
            for name, value in first.items()
            if name in second and same_value(value, second[name])
        }
        self._builder.emit(If(condition, chosen, other))

    def _merged(self, value: Lifted, other: Lifted) -> Lifted:
        """What a name stands for after two branches in which it is the same."""
        if isinstance(value, Value) and not value.is_array and value is not other:
            variable = value.scalar
            if isinstance(variable, Variable) and variable.name in self.types:
                dtype, weak = self.types[variable.name]
                return scalar_value(Variable(variable.name, dtype), weak=weak)
        return value

    def _condition(self, test: ast.expr) -> Expression:
        value = self._expressions.value(test)
        if value.is_array:
            raise NotLifted("a condition that is an array")
        return cast(value.scalar, "bool")

    def _inside(self, before: Mapping[str, Lifted], body: list[ast.stmt]) -> tuple[Any, ...]:
        """A block that may run any number of times."""
        carried = self._frame.carried
        self._frame.carried = carried | set(before)
        try:
            return self._block(body)
        finally:
            self._frame.carried = carried

    def _leave(self, before: Mapping[str, Lifted]) -> None:
        """Forget what was bound in a loop and would depend on its last iteration."""
        self._expressions.environment = {
            name: value
            for name, value in self._environment.items()
            if name in before or self._is_private(name) or is_variable(value)
        }

    def _prepare(self, body: list[ast.stmt]) -> None:
        """Make variables that a block assigns ready to be assigned any number of times."""
        for name in assignments(*body):
            value = self._environment.get(name)
            if not isinstance(value, Value):
                continue
            if value.is_array and not self._is_private(name) and is_rebound(name, body):
                if value.storage in self._writable:
                    raise NotLifted(f"the mutated argument {name} becomes another array")
                copy = self._builder.materialised(value, name)
                self._frame.owned.add(storage_of(copy))
                self._environment[name] = copy
            elif not value.is_array and not isinstance(value.scalar, Variable):
                self._frame.counts[name] += 1  # it varies, so it needs a variable
                self._bind_scalar(name, value)
