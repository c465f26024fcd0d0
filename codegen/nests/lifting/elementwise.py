"""Elementwise functions of values: promotion, broadcasting and casts as NumPy does them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from outpace.codegen.dims import Affine
from outpace.codegen.nests.affine import symbol
from outpace.codegen.nests.ir import Apply, Constant, Expression, Op, Position
from outpace.codegen.nests.lifting.values import (
    Indices,
    Value,
    broadcast,
    cast,
    element,
    joined_kind,
    literal,
    possible_types,
    result_type,
)
from outpace.errors import NotLifted

_ON_BOOLS = {
    Op.ADD: Op.LOGICAL_OR,
    Op.MULTIPLY: Op.LOGICAL_AND,
    Op.MAXIMUM: Op.LOGICAL_OR,
    Op.MINIMUM: Op.LOGICAL_AND,
    Op.BITWISE_AND: Op.LOGICAL_AND,
    Op.BITWISE_OR: Op.LOGICAL_OR,
    Op.BITWISE_XOR: Op.NOT_EQUAL,
    Op.INVERT: Op.LOGICAL_NOT,
}
_OF_OWN_DTYPE = (Op.ABSOLUTE, Op.REAL, Op.IMAG, Op.ISNAN, Op.ISFINITE)
_COMPARING = (
    Op.LESS, Op.LESS_EQUAL, Op.GREATER, Op.GREATER_EQUAL, Op.EQUAL, Op.NOT_EQUAL,
)  # fmt: skip
_LOGICAL = (Op.LOGICAL_AND, Op.LOGICAL_OR, Op.LOGICAL_NOT)


def elementwise(op: Op, function: Callable[..., Any], *values: Value) -> Value:
    """`function(*values)`, where `op` is what it computes for one element."""
    if op in _COMPARING:
        return comparison(op, function, *values)
    if op in _LOGICAL:
        return logical(op, *values)
    kinds = possible_types(function, *values)
    if len(kinds) > 1 and any(v.is_array for v in values):
        result_type(function, *values)  # says why not
    dtype, weak = joined_kind(kinds)
    if dtype == "bool" and not weak:
        op = _ON_BOOLS.get(op, op)
    if op is Op.POWER:
        result = _power(dtype, weak, *values)
    else:
        own = op in _OF_OWN_DTYPE
        operands = [v.dtype if own else dtype for v in values]
        result = _mapped(op, values, operands, dtype, weak=weak)
    return replace(result, kinds=kinds) if len(kinds) > 1 else result


def comparison(op: Op, function: Callable[..., Any], *values: Value) -> Value:
    """A comparison, made in the dtype to which NumPy promotes both sides."""
    kinds = {v.dtype for v in values if not v.weak}
    if "uint64" in kinds and any(k.startswith("int") for k in kinds):
        raise NotLifted("a comparison of uint64 with a signed integer")
    weak = any(weak for _, weak in possible_types(function, *values))
    ints = [v.weak and v.dtype == "int64" and not v.kinds for v in values]
    typical = [literal(1) if is_int else v for v, is_int in zip(values, ints, strict=True)]
    dtype, _ = joined_kind(possible_types(operator.add, *typical))
    if dtype[0] in "iu" and not all(_fits(v, dtype) for v in values):
        if dtype == "uint64":
            raise NotLifted("a comparison of uint64 with an int that it may not hold")
        dtype = "int64"
    return _mapped(op, values, [dtype] * len(values), "bool", weak=weak)


def _fits(value: Value, dtype: str) -> bool:
    """Whether a Python int is known to be one of the dtype; NumPy compares it exactly."""
    if not value.weak or value.dtype != "int64":
        return True
    limits, known = np.iinfo(dtype), value.scalar
    return isinstance(known, Constant) and limits.min <= known.value.real <= limits.max


def logical(op: Op, *values: Value) -> Value:
    """A logical operation on truth values."""
    result = values[0]
    weak = all(v.weak for v in values)
    if op is Op.LOGICAL_NOT:
        return _mapped(op, values, ["bool"], "bool", weak=weak)
    for value in values[1:]:
        result = _mapped(op, (result, value), ["bool", "bool"], "bool", weak=weak)
    return result


def where(condition: Value, chosen: Value, other: Value) -> Value:
    """`np.where` with three arguments."""
    dtype, _ = result_type(np.where, condition, chosen, other)
    values = (condition, chosen, other)
    return _mapped(Op.WHERE, values, ["bool", dtype, dtype], dtype, weak=False)


def choice(condition: Value, chosen: Value, other: Value) -> Value:
    """Python's conditional expression on scalars."""
    if any(v.is_array for v in (condition, chosen, other)):
        raise NotLifted("a conditional expression of arrays")
    kinds = chosen.possible | other.possible
    dtype, weak = joined_kind(kinds)
    values = (condition, chosen, other)
    result = _mapped(Op.WHERE, values, ["bool", dtype, dtype], dtype, weak=weak)
    return replace(result, kinds=kinds) if len(kinds) > 1 else result


def extreme(op: Op, values: tuple[Value, ...]) -> Value:
    """Python's `min` or `max` of scalars."""
    if len(values) < 2 or any(v.is_array for v in values):
        raise NotLifted(f"{op.value} of anything but two or more scalars")
    result = values[0]
    for value in values[1:]:
        kinds = result.possible | value.possible  # it is one of the two as it is
        dtype, weak = joined_kind(kinds)
        result = _mapped(op, (result, value), [dtype, dtype], dtype, weak=weak)
        if len(kinds) > 1:
            result = replace(result, kinds=kinds)
    return result


def converted(value: Value, dtype: str, *, weak: bool) -> Value:
    """`value.astype(dtype)`, or a scalar through a constructor such as `float(x)`."""
    return Value(dtype, value.shape, lambda i: cast(value.at(i), dtype), weak)


def same_elements(a: Value, b: Value) -> bool:
    """Whether two values hold the same elements at any one time."""
    if a is b:
        return True
    here = tuple(Position(symbol(f"?{k}")) for k in range(len(a.shape)))
    return a.shape == b.shape and a.at(here) == b.at(here)


def spread(mask: Value, shape: tuple[Affine, ...]) -> Value:
    """A mask of the first axes, repeated along the others."""
    rank = len(mask.shape)
    return Value(mask.dtype, shape, lambda i: mask.at(i[:rank]))


def _power(dtype: str, weak: bool, base: Value, exponent: Value) -> Value:
    known = exponent.scalar if not exponent.is_array and exponent.weak else None
    value: Any = known.value if isinstance(known, Constant) else None
    if dtype[0] in "fc" and isinstance(value, int | float):
        if value == 0.5 and dtype[0] == "f" and not base.weak:
            return _mapped(Op.SQRT, (base,), [dtype], dtype, weak=weak)
        if value == 2 and dtype[0] == "c":  # compilers call a general power otherwise
            return _mapped(Op.MULTIPLY, (base, base), [dtype, dtype], dtype, weak=weak)
        if value in (1, 2, 3, 4):
            whole = literal(int(value))
            return _mapped(Op.POWER, (base, whole), [dtype, "int64"], dtype, weak=weak)
    if dtype[0] in "iu" and weak and not (isinstance(value, int) and value >= 0):
        raise NotLifted("an integer power whose exponent may be negative")
    return _mapped(Op.POWER, (base, exponent), [dtype, dtype], dtype, weak=weak)


def _mapped(
    op: Op, values: tuple[Value, ...], operand_dtypes: list[str], dtype: str, *, weak: bool
) -> Value:
    def at(indices: Indices) -> Expression:
        operands = (
            cast(element(v, indices), d) for v, d in zip(values, operand_dtypes, strict=True)
        )
        return Apply(op, tuple(operands), dtype)

    return Value(dtype, broadcast(*(v.shape for v in values)), at, weak)
