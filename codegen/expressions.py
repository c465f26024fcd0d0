"""Expressions over named values: checked once, then evaluated for one binding or for many at once.

An expression is Python: arithmetic, comparisons, `and`, `or`, `not`, `if else`, `in (1, 2)`, `min`
and `max`. Where Python would raise, as it does when it divides by zero, the value is undefined.
Over arrays the result equals what Python gives for each element: integers never overflow, and a
part that Python would not reach cannot make the whole undefined.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from types import CodeType
from typing import Any

import numpy as np

from outpace.errors import DraftError
from outpace.model import Scalar

Array = np.ndarray[Any, Any]

LONGEST = 1000
"""Bits of the largest integer that an expression may reach, so that none hangs the machine."""
MOST_NODES = 400
"""Parts of an expression, so that none exhausts the stack."""
_FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max}
_GLOBALS: dict[str, Any] = {"__builtins__": {}, **_FUNCTIONS}
_PARTS = (
    ast.Expression, ast.Name, ast.Load, ast.Constant, ast.BoolOp, ast.boolop, ast.UnaryOp, ast.Not,
    ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow,
    ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.IfExp,
    ast.Call, ast.Tuple, ast.List, ast.Set,
)  # fmt: skip
_MEMBERSHIP = (ast.In, ast.NotIn)
_SEVERAL = (ast.Tuple, ast.List, ast.Set)


@dataclass(frozen=True)
class Column:
    """Values of one name over many bindings.

    Attributes:
        data: Booleans, 64-bit integers, floats, text, or Python integers as objects; any shape.
        most: No integer in it is larger in magnitude; None for floats and text.
        undefined: Where Python would have raised, broadcast against `data`; None for nowhere.
    """

    data: Array
    most: int | None = None
    undefined: Array | None = None

    @classmethod
    def of(cls, values: Sequence[Scalar]) -> Column:
        """The column of these values.

        Raises:
            DraftError: They mix text and numbers.
        """
        are_text = {isinstance(value, str) for value in values}
        if len(are_text) > 1:
            raise DraftError(f"{list(values)} mixes strings and numbers; a constraint needs one")
        if True in are_text:
            return cls(np.array(values))
        if any(isinstance(value, float) for value in values):
            return cls(np.array(values, dtype=np.float64))
        most = max(abs(int(value)) for value in values)
        return cls(np.array(values, dtype=np.int64 if most < 2**63 else object), most)

    def at(self, index: Array) -> Column:
        """The column of the values at these positions."""
        return Column(self.data[index], self.most)

    @property
    def is_text(self) -> bool:
        """Whether it holds strings."""
        return bool(self.data.dtype.kind == "U")

    @property
    def truth(self) -> Array:
        """Where a value counts as true."""
        if self.data.dtype == np.bool_:
            return self.data
        return np.asarray(_number(self).data != 0, dtype=np.bool_)


@dataclass(frozen=True)
class Expression:
    """A checked expression; make it with `parse`.

    Attributes:
        text: As it was written.
        names: That it uses, in order of appearance.
    """

    text: str
    names: tuple[str, ...]
    _tree: ast.expr

    @cached_property
    def _code(self) -> CodeType:
        return compile(ast.Expression(self._tree), "<expression>", "eval")

    def holds(self, binding: Mapping[str, Scalar]) -> bool:
        """Whether it is true for one binding of its names; undefined is false."""
        try:
            return bool(eval(self._code, _GLOBALS, dict(binding)))  # noqa: S307
        except (ArithmeticError, TypeError, ValueError):
            return False

    def holds_at(self, columns: Mapping[str, Column]) -> Array:
        """Where it is true; undefined is false.

        Args:
            columns: The values of its names, whose shapes broadcast against one another.

        Returns:
            Booleans of a shape that broadcasts to theirs.

        Raises:
            DraftError: It computes with text, compares text with numbers, or reaches integers of
                more than `LONGEST` bits.
        """
        try:
            with np.errstate(all="ignore"):
                value = _evaluate(self._tree, columns)
                truth = value.truth
        except DraftError as error:
            raise DraftError(f"{self.text!r} {error}") from error
        return truth if value.undefined is None else truth & ~value.undefined


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """Check the form of an expression.

    Raises:
        DraftError: It is no expression, or uses more than this module allows.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DraftError(f"{text!r} is not an expression: {error}") from error
    if sum(1 for _ in ast.walk(tree)) > MOST_NODES:
        raise DraftError(f"{text[:40]!r}... is too long; split it into several")
    roles = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    roles |= {
        id(node.comparators[-1])
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and isinstance(node.ops[-1], _MEMBERSHIP)
    }
    for node in ast.walk(tree):
        _check_node(text, node, has_role=id(node) in roles)
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in roles]
    ordered = sorted(names, key=lambda n: (n.lineno, n.col_offset))
    return Expression(text, tuple(dict.fromkeys(n.id for n in ordered)), tree)


def _check_node(text: str, node: ast.AST, *, has_role: bool) -> None:
    """Refuse a node; one with a role is what is called, or what stands last behind `in`."""
    if not isinstance(node, _PARTS):
        raise DraftError(
            f"{text!r} uses {type(node).__name__}; only arithmetic, comparisons, and, or, not, "
            "if else, min, max and `in (...)` are understood"
        )
    match node:
        case ast.Constant(value=value) if not isinstance(value, Scalar):
            raise DraftError(f"{text!r} uses {value!r}; only numbers, booleans and strings are")
        case ast.Call(func=ast.Name(id="min" | "max"), args=[_, _, *_], keywords=[]):
            pass
        case ast.Call():
            raise DraftError(f"{text!r} calls something else than min or max of several values")
        case ast.Name(id="min" | "max" as name) if not has_role:
            raise DraftError(f"{text!r} uses {name} as a value; it is a function")
        case ast.Tuple() | ast.List() | ast.Set() if not has_role:
            raise DraftError(f"{text!r} uses several values where there can be one")
        case ast.Compare(ops=[*ops, last], comparators=[*_, other]):
            if any(isinstance(op, _MEMBERSHIP) for op in ops) or (
                isinstance(last, _MEMBERSHIP) and not isinstance(other, _SEVERAL)
            ):
                raise DraftError(f"{text!r}: behind `in` stand values in parentheses, then nothing")


# --- over arrays --------------------------------------------------------------------------------


def _evaluate(node: ast.expr, columns: Mapping[str, Column]) -> Column:
    """Value of a node."""
    match node:
        case ast.Name(id=name):
            return columns[name]
        case ast.Constant(value=value):
            assert isinstance(value, Scalar)
            return Column.of([value])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _arithmetic(ast.Sub(), Column.of([0]), _evaluate(operand, columns))
        case ast.BinOp(op=op, left=left, right=right):
            return _arithmetic(op, _evaluate(left, columns), _evaluate(right, columns))
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compared(_evaluate(left, columns), ops, others, columns)
    return _evaluate_word(node, columns)


def _evaluate_word(node: ast.expr, columns: Mapping[str, Column]) -> Column:
    """Value of what is written with words: `not`, `and`, `or`, `if else`, `min`, `max`."""
    match node:
        case ast.UnaryOp(operand=operand):
            denied = _evaluate(operand, columns)
            return Column(~denied.truth, 1, denied.undefined)
        case ast.BoolOp(op=op, values=values):
            parts = [_evaluate(value, columns) for value in values]
            return reduce(lambda a, b: _connected(op, a, b), parts)
        case ast.IfExp(test=test, body=body, orelse=other):
            return _chosen(*(_evaluate(part, columns) for part in (test, body, other)))
        case ast.Call(func=ast.Name(id=name), args=args):
            ufunc = np.minimum if name == "min" else np.maximum
            parts = [_number(_evaluate(value, columns)) for value in args]
            return reduce(
                lambda a, b: Column(ufunc(a.data, b.data), _larger(a, b), _either(a, b)), parts
            )
    raise AssertionError(f"parse lets no {type(node).__name__} through")


def _number(value: Column) -> Column:
    """Booleans as integers, with which NumPy computes as Python does."""
    if value.is_text:
        raise DraftError("computes with a string; strings can only be compared")
    if value.data.dtype == np.bool_:
        return Column(value.data.astype(np.int64), 1, value.undefined)
    return value


def _either(left: Column, right: Column) -> Array | None:
    """Where one of two values is undefined."""
    if left.undefined is None or right.undefined is None:
        return left.undefined if right.undefined is None else right.undefined
    return np.asarray(left.undefined | right.undefined)


def _or_where(undefined: Array | None, also: Array) -> Array | None:
    if not also.any():
        return undefined
    return also if undefined is None else np.asarray(undefined | also)


def _larger(left: Column, right: Column) -> int | None:
    if left.most is None or right.most is None:
        return None
    return max(left.most, right.most)


_UFUNCS: dict[type[ast.operator], Callable[[Array, Array], Array]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.remainder,
}


def _arithmetic(op: ast.operator, left: Column, right: Column) -> Column:
    a, b = _number(left), _number(right)
    undefined = _either(a, b)
    if isinstance(op, ast.Pow):
        return _power(a, b, undefined)
    divisor = b.data
    if isinstance(op, ast.Div | ast.FloorDiv | ast.Mod):
        zero = np.asarray(divisor == 0, dtype=np.bool_)
        undefined = _or_where(undefined, zero)
        divisor = np.where(zero, np.ones(1, divisor.dtype), divisor)
    most = _bound(op, a.most, b.most)
    is_division = isinstance(op, ast.Div)
    x, y = _wide_enough(most, a.data, divisor, _EXACT_FLOAT if is_division else _EXACT_INTEGER)
    return Column(_UFUNCS[type(op)](x, y), None if is_division else most, undefined)


def _power(base: Column, exponent: Column, undefined: Array | None) -> Column:
    if base.most is None or exponent.most is None or np.any(exponent.data < 0):
        # Python gives floats here, and raises or leaves the real numbers where NumPy is not finite.
        floats = np.power(base.data.astype(np.float64), exponent.data.astype(np.float64))
        return Column(floats, None, _or_where(undefined, ~np.isfinite(floats)))
    if base.most.bit_length() * exponent.most > LONGEST:
        raise DraftError(f"reaches integers of more than {LONGEST} bits")
    most = int(max(base.most, 1) ** exponent.most)
    x, y = _wide_enough(most, base.data, exponent.data, _EXACT_INTEGER)
    return Column(np.power(x, y), most, undefined)


def _bound(op: ast.operator, left: int | None, right: int | None) -> int | None:
    """Largest magnitude of an integer result; None for a float."""
    if left is None or right is None:
        return None
    match op:
        case ast.Mult():
            most = left * right
        case ast.Mod():
            most = right
        case _:
            most = left + right + 1
    if most.bit_length() > LONGEST:
        raise DraftError(f"reaches integers of more than {LONGEST} bits")
    return most


_EXACT_INTEGER, _EXACT_FLOAT = 2**62, 2**53
"""Magnitudes below which 64-bit integers do not overflow, and become floats unchanged."""


def _wide_enough(most: int | None, left: Array, right: Array, limit: int) -> tuple[Array, Array]:
    """Operands as they are, or as Python's integers where they may reach a limit."""
    if most is None or most < limit:
        return left, right
    return left.astype(object), right.astype(object)


def _connected(op: ast.boolop, left: Column, right: Column) -> Column:
    """`and` or `or`: the right side counts only where Python would look at it."""
    a, b = _number(left), _number(right)
    looks = a.truth if isinstance(op, ast.And) else ~a.truth
    undefined = a.undefined
    if b.undefined is not None:
        undefined = _or_where(undefined, np.asarray(looks & b.undefined))
    if left.data.dtype == right.data.dtype == np.bool_:
        joined = left.data & right.data if isinstance(op, ast.And) else left.data | right.data
        return Column(np.asarray(joined), 1, undefined)
    return Column(np.where(looks, b.data, a.data), _larger(a, b), undefined)


def _chosen(test: Column, body: Column, other: Column) -> Column:
    """`body if test else other`."""
    if body.is_text != other.is_text:
        raise DraftError("is a string in one case and a number in the other")
    undefined = test.undefined
    for branch, where in ((body, test.truth), (other, ~test.truth)):
        if branch.undefined is not None:
            undefined = _or_where(undefined, np.asarray(where & branch.undefined))
    return Column(np.where(test.truth, body.data, other.data), _larger(body, other), undefined)


_COMPARISONS: dict[type[ast.cmpop], Callable[[Array, Array], Array]] = {
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}


def _compared(
    left: Column,
    ops: Sequence[ast.cmpop],
    others: Sequence[ast.expr],
    columns: Mapping[str, Column],
) -> Column:
    """A chain of comparisons; as `and` does, it ends at the first that is false."""
    links: list[Column] = []
    for op, other in zip(ops, others, strict=True):
        if isinstance(other, _SEVERAL):
            links.append(_contained(op, left, [_evaluate(item, columns) for item in other.elts]))
            break
        right = _evaluate(other, columns)
        links.append(_related(_COMPARISONS[type(op)], left, right))
        left = right
    return reduce(lambda a, b: _connected(ast.And(), a, b), links)


def _related(comparison: Callable[[Array, Array], Array], left: Column, right: Column) -> Column:
    if left.is_text != right.is_text:
        raise DraftError("compares a string with a number")
    most = max(left.most or 0, right.most or 0) if "f" in _kinds(left, right) else None
    x, y = _wide_enough(most, left.data, right.data, _EXACT_FLOAT)
    result = np.asarray(comparison(x, y), dtype=np.bool_)
    return Column(result, 1, _either(left, right))


def _kinds(*columns: Column) -> str:
    return "".join(column.data.dtype.kind for column in columns)


def _contained(op: ast.cmpop, value: Column, items: Sequence[Column]) -> Column:
    nowhere = Column(np.zeros(1, np.bool_), 1, value.undefined)
    among = reduce(
        lambda a, b: Column(np.asarray(a.data | b.data), 1, _either(a, b)),
        (_related(np.equal, value, item) for item in items),
        nowhere,
    )
    return Column(~among.data, 1, among.undefined) if isinstance(op, ast.NotIn) else among
