"""Lift Python expressions to values."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import (
    Apply,
    Assign,
    Constant,
    Expression,
    If,
    Op,
    Statement,
    Variable,
)
from outpace.codegen.nests.lifting import functions, products
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.comprehensions import Comprehension, Comprehensions
from outpace.codegen.nests.lifting.creation import grid, listed, listed_constant
from outpace.codegen.nests.lifting.elementwise import choice, comparison, elementwise, logical
from outpace.codegen.nests.lifting.indexing import Cut, Item, subscript
from outpace.codegen.nests.lifting.members import module_member
from outpace.codegen.nests.lifting.values import (
    DType,
    Lifted,
    NamedFunction,
    Selection,
    Value,
    as_affine,
    cast,
    literal,
    position,
    scalar_value,
)
from outpace.errors import NotLifted

_BINARY: dict[type[ast.operator], tuple[Op, Callable[[Any, Any], Any]]] = {
    ast.Add: (Op.ADD, operator.add),
    ast.Sub: (Op.SUBTRACT, operator.sub),
    ast.Mult: (Op.MULTIPLY, operator.mul),
    ast.Div: (Op.DIVIDE, operator.truediv),
    ast.FloorDiv: (Op.FLOOR_DIVIDE, operator.floordiv),
    ast.Mod: (Op.REMAINDER, operator.mod),
    ast.Pow: (Op.POWER, operator.pow),
    ast.BitAnd: (Op.BITWISE_AND, operator.and_),
    ast.BitOr: (Op.BITWISE_OR, operator.or_),
    ast.BitXor: (Op.BITWISE_XOR, operator.xor),
    ast.LShift: (Op.LEFT_SHIFT, operator.lshift),
    ast.RShift: (Op.RIGHT_SHIFT, operator.rshift),
}
_COMPARISONS: dict[type[ast.cmpop], tuple[Op, Callable[[Any, Any], Any]]] = {
    ast.Lt: (Op.LESS, operator.lt),
    ast.LtE: (Op.LESS_EQUAL, operator.le),
    ast.Gt: (Op.GREATER, operator.gt),
    ast.GtE: (Op.GREATER_EQUAL, operator.ge),
    ast.Eq: (Op.EQUAL, operator.eq),
    ast.NotEq: (Op.NOT_EQUAL, operator.ne),
}
_VIEWS = ("T", "real", "imag")

CallHelper = Callable[[ast.Call, str, list[Lifted], Mapping[str, Lifted]], Lifted]


class Expressions(Comprehensions):
    """Lifts expressions in an environment.

    Args:
        builder: Where statements that an expression needs go.
        captured: What captured modules, and functions of them, stand for.
        constants: Captured constants.
        call_helper: Lifts the call of a helper of the reference.

    Attributes:
        environment: What names stand for here.
        kept: What names stood for where a loop was left.
        local_names: All names that the function binds somewhere.
    """

    def __init__(
        self,
        builder: Builder,
        captured: Mapping[str, Lifted],
        constants: Mapping[str, Any],
        call_helper: CallHelper,
    ) -> None:
        self._builder = builder
        self._captured = captured
        self._constants = constants
        self._call_helper = call_helper
        self.environment: dict[str, Lifted] = {}
        self.kept: dict[str, Lifted] = {}
        self.local_names: frozenset[str] = frozenset()

    def value(self, node: ast.expr) -> Value:
        """An expression that must be a number or an array."""
        lifted = self.lift(node)
        if not isinstance(lifted, Value):
            raise NotLifted(f"`{ast.unparse(node)}` is neither a number nor an array")
        return lifted

    def lift(self, node: ast.expr) -> Lifted:  # noqa: PLR0911  (a dispatch)
        """Any expression.

        Raises:
            NotLifted: It is of a kind that loop nests cannot express.
        """
        match node:
            case ast.Constant(value=value):
                if isinstance(value, int | float | complex):
                    return literal(value)
                if isinstance(value, str) or value is None:
                    return value
                raise NotLifted(f"the literal {value!r}")
            case ast.Name(id=name):
                return self._name(name)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return tuple(self.lift(part) for part in parts)
            case ast.Attribute(value=base, attr=name):
                return self._attribute(base, name)
            case ast.Subscript(value=base, slice=index):
                return self.subscript(base, index)
            case ast.Call():
                return self._call(node)
            case ast.ListComp() | ast.GeneratorExp():
                return self._written_out(node)
            case _:
                return self._operation(node)

    def subscript(self, base: ast.expr, index: ast.expr) -> Lifted:
        """An element of a tuple, or (a view of) an array."""
        lifted = self.lift(base)
        items = self.items(index)
        if isinstance(lifted, tuple):
            return _tuple_item(lifted, items[0])
        if isinstance(lifted, NamedFunction) and lifted.name in ("mgrid", "ogrid"):
            return grid(self._builder, lifted.name, items)
        if not isinstance(lifted, Value):
            raise NotLifted(f"`{ast.unparse(base)}` cannot be indexed")
        if place := _masked_axis(items):
            lifted, items = subscript(self._builder, lifted, items[:place]), items[place:]
        mask = items[0]
        if isinstance(mask, Value) and mask.dtype == "bool" and mask.is_array:
            axes = len(mask.shape)
            if mask.shape != lifted.shape[:axes]:
                raise NotLifted("a boolean mask of another shape than its array")
            whole = [Cut(None, None, None)] * axes
            return Selection(subscript(self._builder, lifted, [*whole, *items[1:]]), mask)
        return subscript(self._builder, lifted, items)

    def items(self, index: ast.expr) -> list[Item]:
        """The parts of an index."""
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        return [self._item(part) for part in parts]

    def _item(self, node: ast.expr) -> Item:
        if isinstance(node, ast.Slice):
            bounds = [None if b is None else self._bound(b) for b in _bounds(node)]
            return Cut(*bounds)
        if isinstance(node, ast.Constant) and node.value is ...:
            return ...
        lifted = self.lift(node)
        return listed(self._builder, lifted) if isinstance(lifted, tuple) else lifted

    def _bound(self, node: ast.expr) -> Value | None:
        return None if self.lift(node) is None else self.value(node)

    def _name(self, name: str) -> Lifted:
        if name in self.environment:
            return self.environment[name]
        if name in self.kept:
            return self.kept[name]
        if name in self.local_names:
            raise NotLifted(f"{name} stands for what only some branch or earlier iteration made")
        if name in self._constants:
            return self._constant(name, self._constants[name])
        if name in self._captured:
            return self._captured[name]
        if name in ("float", "int", "bool", "complex"):
            dtype = {"float": "float64", "int": "int64", "complex": "complex128"}.get(name, name)
            return DType(dtype, builtin=True)
        return NamedFunction("builtins", name)

    def _constant(self, name: str, value: Any) -> Lifted:
        if isinstance(value, np.generic):
            return scalar_value(Constant(value.item(), value.dtype.name))
        if isinstance(value, bool | int | float | complex):
            return literal(value)
        if isinstance(value, np.ndarray):
            return listed_constant(self._builder, value)
        if isinstance(value, tuple):
            return tuple(self._constant(name, v) for v in value)
        if isinstance(value, str) or value is None:
            return value
        raise NotLifted(f"the captured constant {name} is a {type(value).__name__}")

    def _attribute(self, base: ast.expr, name: str) -> Lifted:  # noqa: PLR0911  (a dispatch)
        owner = self.lift(base)
        if isinstance(owner, NamedFunction) and owner.owner is None:
            return module_member(f"{owner.module}.{owner.name}".strip("."), name)
        if isinstance(owner, Selection):
            return self._of_selection(owner, name)
        if not isinstance(owner, Value):
            raise NotLifted(f"the attribute .{name}")
        if name == "shape":
            return tuple(position(self._builder.extent(n)) for n in owner.shape)
        if name == "dtype":
            return DType(owner.dtype)
        if name == "ndim":
            return literal(len(owner.shape))
        if name == "size":
            return functions.size(self._builder, owner)
        if name in _VIEWS:
            return functions.view(owner, name)
        return NamedFunction("method", name, owner)

    def _of_selection(self, owner: Selection, name: str) -> Lifted:
        """An attribute of the elements that a mask selects."""
        rest = owner.source.shape[len(owner.mask.shape) :]
        if name == "shape" or (name == "size" and not rest):
            count = functions.length(self._builder, owner)
            return count if name == "size" else (count, *map(position, rest))
        if name == "dtype":
            return DType(owner.source.dtype)
        return NamedFunction("method", name, owner)

    def _call(self, node: ast.Call) -> Lifted:
        function = self.lift(node.func)
        arguments = [self._argument(function, a) for a in node.args]
        keywords = {k.arg: self.lift(k.value) for k in node.keywords if k.arg is not None}
        if any(isinstance(a, ast.Starred) for a in node.args) or len(keywords) < len(node.keywords):
            raise NotLifted("a call with * or **")
        if isinstance(function, DType):
            return functions.converted(function, arguments)
        if not isinstance(function, NamedFunction):
            raise NotLifted(f"the call `{ast.unparse(node)}`")
        if function.module == "builtins" and not functions.is_builtin(function.name):
            return self._call_helper(node, function.name, arguments, keywords)
        return functions.call(self._builder, function, arguments, keywords)

    def _argument(self, function: Lifted, node: ast.expr) -> Lifted:
        """An argument of a call; a comprehension may be an array where no one could tell."""
        if not isinstance(node, Comprehension) or not isinstance(function, NamedFunction):
            return self.lift(node)
        try:
            return self._written_out(node)
        except NotLifted:
            if (function.module, function.name) not in _COLLECTING:
                raise
        return self._collected(node)

    def _operation(self, node: ast.expr) -> Lifted:  # noqa: PLR0911  (a dispatch)
        match node:
            case ast.BinOp(left=left, op=ast.MatMult(), right=right):
                return products.product(self._builder, self.value(left), self.value(right))
            case ast.BinOp(left=left, op=op, right=right):
                kind, function = _BINARY[type(op)]
                return self.binary(kind, function, self.lift(left), self.lift(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._negative(self.lift(operand))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.value(operand).fresh
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return logical(Op.LOGICAL_NOT, self._truth(operand))
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                return elementwise(Op.INVERT, operator.invert, self.value(operand))
            case ast.Compare(left=left, ops=ops, comparators=rights):
                return self._comparison(left, ops, rights)
            case ast.BoolOp(op=op, values=parts):
                return self._boolean(op, parts)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._choice(test, body, orelse)
            case _:
                raise NotLifted(f"`{ast.unparse(node)}` ({type(node).__name__})")

    def binary(
        self, kind: Op, function: Callable[[Any, Any], Any], left: Lifted, right: Lifted
    ) -> Lifted:
        """`left op right`, on tuples as well."""
        if isinstance(left, tuple) and isinstance(right, tuple) and kind is Op.ADD:
            return (*left, *right)
        if isinstance(left, Selection) or isinstance(right, Selection):
            return functions.lifted_elementwise(kind, function, (left, right))
        if not isinstance(left, Value) or not isinstance(right, Value):
            raise NotLifted(f"{kind.value} of something that is neither a number nor an array")
        whole = _affine_result(kind, left, right)
        if whole is None and kind is Op.POWER:
            whole = self._whole_power(left, right)
        return whole or elementwise(kind, function, left, right)

    def _whole_power(self, base: Value, exponent: Value) -> Value | None:
        """A power of Python ints that is one, as the exponent is known not to be negative."""
        if base.is_array or exponent.is_array or not (base.weak and exponent.weak):
            return None
        known = as_affine(exponent.scalar)
        if base.dtype != "int64" or known is None or not self._builder.bounds.nonnegative(known):
            return None
        return scalar_value(Apply(Op.POWER, (base.scalar, exponent.scalar), "int64"), weak=True)

    def _negative(self, operand: Lifted) -> Lifted:
        if not isinstance(operand, Value):
            return functions.lifted_elementwise(Op.NEGATIVE, operator.neg, (operand,))
        known = None if operand.is_array or not operand.weak else as_affine(operand.scalar)
        if known is not None:
            return position(affine.times(known, -1))
        return elementwise(Op.NEGATIVE, operator.neg, operand)

    # --- Conditions -----------------------------------------------------------------------------

    def condition(self, node: ast.expr) -> Expression:
        """A scalar as a truth value."""
        return cast(self._truth(node).scalar, "bool")

    def _truth(self, node: ast.expr) -> Value:
        """A value of which only the truth matters, so that `and` and `or` may give bools."""
        if isinstance(node, ast.BoolOp):
            return self._joined(node.op, node.values)
        value = self.value(node)
        if not value.is_array:
            return value
        if isinstance(node, ast.UnaryOp):
            raise NotLifted("`not` of an array")
        raise NotLifted("a condition that is an array")

    def _boolean(self, op: ast.boolop, parts: list[ast.expr]) -> Value:
        """`and` and `or` give one of their operands, which is a bool only where all are."""
        result = self._joined(op, parts)
        with self._builder.block():
            values = [self.value(part) for part in parts]
        if any(v.is_array or v.dtype != "bool" for v in values):
            raise NotLifted("`and` or `or` of something that is not a bool")
        return result

    def _joined(self, op: ast.boolop, parts: list[ast.expr]) -> Value:
        """Operands after the first are evaluated only where they matter."""
        kind = Op.LOGICAL_AND if isinstance(op, ast.And) else Op.LOGICAL_OR
        result = self._truth(parts[0])
        for part in parts[1:]:
            if isinstance(result.scalar, Constant):
                if bool(result.scalar.value) is (kind is Op.LOGICAL_OR):
                    break
                result = self._truth(part)
                continue
            with self._builder.block() as needed:
                value = self._truth(part)
            if not needed:
                result = logical(kind, result, value)
                continue
            holds = Variable(self._builder.fresh("holds"), "bool")
            self._builder.emit(Assign(holds.name, cast(result.scalar, "bool")))
            open_: Expression = holds
            if kind is Op.LOGICAL_OR:
                open_ = Apply(Op.LOGICAL_NOT, (holds,), "bool")
            last = Assign(holds.name, cast(value.scalar, "bool"))
            self._builder.emit(If(open_, (*needed, last), ()))
            result = scalar_value(holds, weak=result.weak and value.weak)
        return result

    def _choice(self, test: ast.expr, body: ast.expr, orelse: ast.expr) -> Lifted:
        """Only one of the two is evaluated."""
        condition = self._truth(test)
        if isinstance(condition.scalar, Constant):
            return self.lift(body if condition.scalar.value else orelse)
        chosen, needed = self._apart(body)
        other, also = self._apart(orelse)
        if chosen.is_array or other.is_array:
            held = cast(condition.scalar, "bool")
            return self._chosen_array(held, (chosen, needed), (other, also))
        result = choice(condition, chosen, other)
        if not needed and not also:
            return result
        name = self._builder.fresh("chosen")
        first, second = (Assign(name, cast(v.scalar, result.dtype)) for v in (chosen, other))
        held = cast(condition.scalar, "bool")
        self._builder.emit(If(held, (*needed, first), (*also, second)))
        held = Variable(name, result.dtype)
        return Value(result.dtype, (), lambda _: held, result.weak, kinds=result.kinds)

    def _chosen_array(
        self, condition: Expression, *options: tuple[Value, list[Statement]]
    ) -> Value:
        """One of two arrays in memory of its own, which is right where no name holds either."""
        builder = self._builder
        first = options[0][0]
        for value, _ in options:
            if value.storage is not None and not builder.is_constant(value.storage):
                raise NotLifted("a conditional expression of arrays that may be written")
            if (value.shape, value.dtype) != (first.shape, first.dtype):
                raise NotLifted("a conditional expression of arrays that differ")
        target = builder.allocate(builder.hint, first.dtype, first.shape)
        branches = []
        for value, needed in options:
            with builder.block() as block:
                builder.fill(target, value)
            branches.append((*needed, *block))
        builder.emit(If(condition, branches[0], branches[1]))
        return target

    def _apart(self, node: ast.expr) -> tuple[Value, list[Statement]]:
        """A value, and the statements that it needs."""
        with self._builder.block() as needed:
            value = self.value(node)
        return value, needed

    def _comparison(self, left: ast.expr, ops: list[ast.cmpop], rights: list[ast.expr]) -> Value:
        sides = [self.lift(side) for side in (left, *rights)]
        if len(ops) == 1 and isinstance(ops[0], ast.Is | ast.IsNot) and sides[1] is None:
            return literal((sides[0] is None) is isinstance(ops[0], ast.Is))
        if any(type(op) not in _COMPARISONS for op in ops):
            raise NotLifted("`is` or `in`")
        values = [s for s in sides if isinstance(s, Value)]
        if len(values) < len(sides):
            raise NotLifted("a comparison of something that is neither a number nor an array")
        if len(ops) > 1 and any(v.is_array for v in values):
            raise NotLifted("a chained comparison of arrays")
        pairs = zip(ops, values, values[1:], strict=False)
        found = [comparison(*_COMPARISONS[type(op)], a, b) for op, a, b in pairs]
        return _folded(found[0] if len(found) == 1 else logical(Op.LOGICAL_AND, *found))


_COLLECTING = {("numpy", "array"), ("builtins", "sum")}
"""Functions that take a list of numbers or arrays as they take an array."""


def _folded(value: Value) -> Value:
    """A comparison of literals is one itself, so that only one branch need be lifted."""
    if value.is_array or not isinstance(value.scalar, Apply):
        return value
    a, *rest = value.scalar.operands
    compared = value.scalar.op in {op for op, _ in _COMPARISONS.values()}
    if not compared or not isinstance(a, Constant) or not isinstance(rest[0], Constant):
        return value
    function = getattr(operator, _OPERATORS[value.scalar.op])
    return literal(bool(function(a.value, rest[0].value)))


_OPERATORS = {
    Op.LESS: "lt", Op.LESS_EQUAL: "le", Op.GREATER: "gt", Op.GREATER_EQUAL: "ge", Op.EQUAL: "eq",
    Op.NOT_EQUAL: "ne",
}  # fmt: skip


def augmented(op: ast.operator) -> tuple[Op, Callable[[Any, Any], Any]]:
    """The operation of an augmented assignment."""
    if type(op) not in _BINARY:
        raise NotLifted("`@=`")
    return _BINARY[type(op)]


def _affine_result(kind: Op, left: Value, right: Value) -> Value | None:  # noqa: PLR0911  (cases)
    """Exact arithmetic on Python ints that stays affine."""
    if left.is_array or right.is_array or not (left.weak and right.weak):
        return None
    a, b = as_affine(left.scalar), as_affine(right.scalar)
    if a is None or b is None:
        return None
    if kind is Op.ADD:
        return position(affine.plus(a, b))
    if kind is Op.SUBTRACT:
        return position(affine.minus(a, b))
    if kind is Op.MULTIPLY and not (a.terms and b.terms):
        return position(affine.times(b, a.constant) if b.terms else affine.times(a, b.constant))
    if kind is Op.FLOOR_DIVIDE and not b.terms and b.constant > 0:
        whole = affine.quotient(a, b.constant)
        return None if whole is None else position(whole)
    return None


def _masked_axis(items: Sequence[Item]) -> int:
    """How many integers come before a mask; 0 if there is none after integers alone."""
    for place, item in enumerate(items):
        if not isinstance(item, Value):
            break
        if item.is_array:
            return place if item.dtype == "bool" else 0
    return 0


def _bounds(node: ast.Slice) -> tuple[ast.expr | None, ast.expr | None, ast.expr | None]:
    return node.lower, node.upper, node.step


def _tuple_item(values: tuple[Any, ...], item: Item) -> Lifted:
    if isinstance(item, Cut):
        bounds = [None if b is None else as_affine(b.scalar) for b in (item.start, item.stop)]
        if all(b is None or not b.terms for b in bounds) and item.step is None:
            start, stop = (None if b is None else b.constant for b in bounds)
            return values[start:stop]
    elif isinstance(item, Value) and not item.is_array:
        known = as_affine(item.scalar)
        if known is not None and not known.terms and -len(values) <= known.constant < len(values):
            found: Lifted = values[known.constant]
            return found
    raise NotLifted("a tuple indexed by something that is not a literal")
