"""Calls of NumPy functions, array methods, `math` functions and builtins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import mul

import numpy as np

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, elementwise
from outpace.codegen.nests.builder import Builder
from outpace.codegen.nests.ir import Apply, Constant, Expression, Op, Position, Reduction
from outpace.codegen.nests.values import (
    DType,
    Indices,
    Lifted,
    NamedFunction,
    Value,
    as_affine,
    cast,
    literal,
    position,
    result_type,
    scalar_value,
)
from outpace.errors import NotLifted

Arguments = list[Lifted]
Keywords = Mapping[str, Lifted]


@dataclass(frozen=True)
class Call:
    """A call of a function with its lifted arguments."""

    builder: Builder
    arguments: Arguments
    keywords: Keywords


Handler = Callable[[Call], Lifted]

_NOT_UFUNCS = (Op.WHERE, Op.SMALLER, Op.LARGER, Op.FAST_EXP, Op.WRAP)
_ALIASES = {
    "abs": "absolute",
    "fabs": "absolute",
    "true_divide": "divide",
    "mod": "remainder",
    "conj": "conjugate",
    "pow": "power",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "bitwise_not": "invert",
}
_UFUNCS = {op.value: op for op in Op if op not in _NOT_UFUNCS}
_REDUCTIONS = {
    "sum": Reduction.SUM,
    "prod": Reduction.PROD,
    "max": Reduction.MAX,
    "amax": Reduction.MAX,
    "min": Reduction.MIN,
    "amin": Reduction.MIN,
    "any": Reduction.ANY,
    "all": Reduction.ALL,
}


def call(
    builder: Builder, function: NamedFunction, arguments: Arguments, keywords: Keywords
) -> Lifted:
    """The value of a call.

    Raises:
        NotLifted: The function, or this form of it, is not known.
    """
    name = _ALIASES.get(function.name, function.name)
    if function.owner is not None:
        arguments = [function.owner, *arguments]
    elif function.module == "builtins":
        return _builtin(builder, function.name, arguments)
    elif function.module not in ("numpy", "math"):
        raise NotLifted(f"a call of {function.module}.{function.name}")
    if name in _UFUNCS and not keywords:
        values = [_value(a, name) for a in arguments]
        if function.module == "math":
            return _of_math(name, values)
        return elementwise.elementwise(_UFUNCS[name], getattr(np, name), *values)
    if name in _REDUCTIONS or name == "mean":
        return _reduction(builder, name, arguments, keywords)
    if name not in _HANDLERS:
        raise NotLifted(f"a call of {function.name}")
    return _HANDLERS[name](Call(builder, arguments, keywords))


def is_builtin(name: str) -> bool:
    """Whether a builtin of that name is known."""
    return name in ("abs", "min", "max", "len", "range")


def converted(dtype: DType, arguments: Arguments) -> Value:
    """`float(x)`, `np.float32(x)`."""
    value = _value(arguments[0], dtype.name) if len(arguments) == 1 else literal(0)
    weak = value.weak and dtype.name in ("bool", "int64", "float64", "complex128")
    return elementwise.converted(value, dtype.name, weak=weak)


def size(builder: Builder, value: Value) -> Value:
    """The number of elements."""
    return _product_of(builder, value.shape)


def view(value: Value, name: str) -> Value:
    """`.T`, `.real` and `.imag`."""
    if name == "T":
        shape = value.shape[::-1]
        return Value(value.dtype, shape, lambda i: value.at(i[::-1]), storage=value.storage)
    return elementwise.elementwise(_UFUNCS[name], getattr(np, name), value)


def apply(op: Op, *operands: Expression) -> Expression:
    """An integer operation."""
    return Apply(op, operands, "int64")


def product(builder: Builder, left: Value, right: Value) -> Value:
    """`left @ right` for one or two axes, and for more on the left."""
    if not left.shape or not right.shape or len(right.shape) > 2:
        raise NotLifted("a matrix product with this number of axes")
    if left.shape[-1] != right.shape[0]:
        raise NotLifted("the inner extents of a matrix product are not known to be equal")
    dtype, _ = result_type(np.matmul, left, right)
    if dtype == "bool":
        raise NotLifted("a matrix product of bools")
    outer = (*left.shape[:-1], *right.shape[1:])
    rank = len(left.shape) - 1

    def at(indices: Indices) -> Expression:
        row, inner, column = indices[:rank], indices[-1], indices[rank:-1]
        factors = (
            cast(left.at((*row, inner)), dtype),
            cast(right.at((inner, *column)), dtype),
        )
        return Apply(Op.MULTIPLY, factors, dtype)

    terms = Value(dtype, (*outer, left.shape[-1]), at)
    return builder.reduced(Reduction.SUM, terms, (len(outer),), dtype, keepdims=False)


def _builtin(builder: Builder, name: str, arguments: Arguments) -> Lifted:
    if name == "len" and len(arguments) == 1:
        owner = arguments[0]
        if isinstance(owner, tuple):
            return literal(len(owner))
        return position(builder.extent(_value(owner, name).shape[0]))
    values = tuple(_value(a, name) for a in arguments)
    if name == "abs":
        return elementwise.elementwise(Op.ABSOLUTE, abs, *values)
    if name in ("min", "max"):
        return elementwise.extreme(Op.SMALLER if name == "min" else Op.LARGER, values)
    raise NotLifted(f"a call of {name} here")


def _of_math(name: str, values: list[Value]) -> Value:
    """`math` functions give Python floats."""
    floats = [elementwise.converted(v, "float64", weak=True) for v in values]
    if name in ("floor", "ceil", "trunc", "power") or any(v.is_array for v in values):
        raise NotLifted(f"math.{name}")
    result = elementwise.elementwise(_UFUNCS[name], getattr(np, name), *floats)
    return Value(result.dtype, (), result.at, weak=True)


def _reduction(builder: Builder, name: str, arguments: Arguments, keywords: Keywords) -> Value:
    given = dict(zip(("a", "axis", "dtype"), arguments, strict=False)) | dict(keywords)
    value = _value(given.pop("a"), name)
    axes = _axes(given.pop("axis", None), len(value.shape))
    keepdims = _flag(given.pop("keepdims", False))
    forced = given.pop("dtype", None)
    if given or not value.shape:
        raise NotLifted(f"{name} with {sorted(given)}" if given else f"{name} of a scalar")
    dtype, _ = result_type(getattr(np, name), value)
    if isinstance(forced, DType):
        dtype = forced.name
    if name in ("any", "all"):
        dtype = "bool"
    kind = Reduction.SUM if name == "mean" else _REDUCTIONS[name]
    if kind in (Reduction.MAX, Reduction.MIN) and dtype[0] not in "iuf":
        raise NotLifted(f"{name} of {dtype}")
    total = builder.reduced(kind, value, axes, dtype, keepdims=keepdims)
    if name != "mean":
        return total
    count = _product_of(builder, tuple(value.shape[k] for k in axes))
    return elementwise.elementwise(Op.DIVIDE, np.divide, total, count)


def _axes(axis: Lifted, rank: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(rank))
    found = []
    for part in axis if isinstance(axis, tuple) else (axis,):
        known = as_affine(part.scalar) if isinstance(part, Value) else None
        if known is None or known.terms or not -rank <= known.constant < rank:
            raise NotLifted("an axis that is not a literal")
        found.append(known.constant % rank)
    return tuple(sorted(found))


def _flag(value: Lifted | bool) -> bool:
    if isinstance(value, Value) and isinstance(value.scalar, Constant):
        return bool(value.scalar.value)
    return bool(value)


def _product_of(builder: Builder, extents: tuple[Affine, ...]) -> Value:
    extents = tuple(builder.extent(n) for n in extents)
    known = [n.constant for n in extents if not n.terms]
    symbolic = [n for n in extents if n.terms]
    if len(symbolic) <= 1:
        whole = affine.times(symbolic[0] if symbolic else affine.ONE, reduce(mul, known, 1))
        return position(whole)
    factors: list[Expression] = [Position(n) for n in extents]
    return position(builder.size(reduce(lambda a, b: apply(Op.MULTIPLY, a, b), factors)))


# --- Arrays made from shapes --------------------------------------------------------------------


def _filled(fill: int | None, *, like: bool) -> Handler:
    """`zeros`, `ones`, `empty` and their `_like` forms; None leaves the contents undefined."""

    def handle(call: Call) -> Lifted:
        given = dict(zip(("shape", "dtype"), call.arguments, strict=False)) | dict(call.keywords)
        source = given.pop("shape")
        dtype = given.pop("dtype", None)
        if given:
            raise NotLifted(f"an array with {sorted(given)}")
        default = _value(source, "array").dtype if like else "float64"
        name = dtype.name if isinstance(dtype, DType) else default
        if isinstance(dtype, str):
            name = np.dtype(dtype).name
        shape = _value(source, "array").shape if like else _shape(call.builder, source)
        if fill is None:
            return call.builder.allocate(call.builder.hint, name, shape)
        content = cast(Constant(fill, "int64"), name)
        return Value(name, shape, lambda _: content)

    return handle


def _full(call: Call) -> Lifted:
    given = dict(zip(("shape", "fill_value", "dtype"), call.arguments, strict=False)) | dict(
        call.keywords
    )
    fill = _value(given["fill_value"], "full")
    dtype = given.get("dtype")
    if fill.is_array or (dtype is not None and not isinstance(dtype, DType)):
        raise NotLifted("np.full with this value or dtype")
    name = fill.dtype if dtype is None else dtype.name
    content = cast(fill.scalar, name)
    return Value(name, _shape(call.builder, given["shape"]), lambda _: content)


def _shape(builder: Builder, source: Lifted) -> tuple[Affine, ...]:
    parts = source if isinstance(source, tuple) else (source,)
    extents = []
    for part in parts:
        value = _value(part, "shape")
        if value.is_array or value.dtype[0] not in "iu":
            raise NotLifted("a shape that is not made of integers")
        extents.append(builder.size(value.scalar))
    return tuple(extents)


def _arange(call: Call) -> Lifted:
    if len(call.arguments) > 2 or set(call.keywords) - {"dtype"}:
        raise NotLifted("np.arange with a step")
    ends = [_value(a, "arange") for a in call.arguments]
    if any(v.dtype != "int64" for v in ends):
        raise NotLifted("np.arange of anything but integers")
    start, stop = (
        (affine.ZERO, ends[0]) if len(ends) == 1 else (call.builder.size(ends[0].scalar), ends[1])
    )
    length = affine.minus(call.builder.size(stop.scalar), start)
    dtype = call.keywords.get("dtype")
    name = dtype.name if isinstance(dtype, DType) else "int64"

    def at(indices: Indices) -> Expression:
        known = as_affine(indices[0])
        place: Expression = (
            apply(Op.ADD, indices[0], Position(start))
            if known is None
            else Position(affine.plus(start, known))
        )
        return cast(place, name)

    return Value(name, (length,), at)


def _copy(call: Call) -> Lifted:
    if call.keywords or len(call.arguments) != 1:
        raise NotLifted("a copy with options")
    value = _value(call.arguments[0], "copy")
    return Value(value.dtype, value.shape, value.at)


def _same(call: Call) -> Lifted:
    if call.keywords or len(call.arguments) != 1:
        raise NotLifted("np.asarray with options")
    return _value(call.arguments[0], "asarray")


def _astype(call: Call) -> Lifted:
    value, dtype = (
        _value(call.arguments[0], "astype"),
        call.arguments[1] if len(call.arguments) > 1 else None,
    )
    if not isinstance(dtype, DType) or set(call.keywords) - {"copy"}:
        raise NotLifted("astype with this dtype or options")
    return elementwise.converted(value, dtype.name, weak=False)


# --- Rearrangements and products ----------------------------------------------------------------


def _transpose(call: Call) -> Lifted:
    value = _value(call.arguments[0], "transpose")
    if call.keywords:
        raise NotLifted("np.transpose with call.keywords")
    order = tuple(range(len(value.shape)))[::-1]
    if len(call.arguments) > 1:
        parts = (
            call.arguments[1] if isinstance(call.arguments[1], tuple) else tuple(call.arguments[1:])
        )
        order = tuple(_axes(part, len(value.shape))[0] for part in parts)
    shape = tuple(value.shape[k] for k in order)

    def at(indices: Indices) -> Expression:
        return value.at(tuple(indices[order.index(k)] for k in range(len(order))))

    return Value(value.dtype, shape, at, storage=value.storage)


def _reshape(call: Call) -> Lifted:
    """Another shape of a whole array, which stays where it is."""
    value = _value(call.arguments[0], "reshape")
    given = call.arguments[1:]
    parts = given[0] if len(given) == 1 and isinstance(given[0], tuple) else tuple(given)
    if call.keywords:
        raise NotLifted("a reshape with options")
    values = [_value(p, "reshape") for p in parts]
    free = [k for k, v in enumerate(values) if _is_minus_one(v)]
    extents = [
        affine.ONE if k in free else call.builder.size(v.scalar) for k, v in enumerate(values)
    ]
    if free:
        rest = _product_of(call.builder, tuple(extents)).scalar
        total = size(call.builder, value).scalar
        extents[free[0]] = call.builder.size(apply(Op.FLOOR_DIVIDE, total, rest))
    return call.builder.reshaped(value, tuple(extents))


def _is_minus_one(value: Value) -> bool:
    return as_affine(value.scalar) == affine.constant(-1)


def _dot(call: Call) -> Lifted:
    if call.keywords or len(call.arguments) != 2:
        raise NotLifted("np.dot with options")
    return product(call.builder, _value(call.arguments[0], "dot"), _value(call.arguments[1], "dot"))


def _tensordot(call: Call) -> Lifted:
    axes = dict(call.keywords).get("axes", call.arguments[2] if len(call.arguments) > 2 else None)
    if not isinstance(axes, Value) or as_affine(axes.scalar) != affine.ONE:
        raise NotLifted("np.tensordot with axes other than 1")
    return _dot(Call(call.builder, call.arguments[:2], {}))


def _outer(call: Call) -> Lifted:
    left, right = (_value(a, "outer") for a in call.arguments)
    if call.keywords or len(left.shape) != 1 or len(right.shape) != 1:
        raise NotLifted("np.outer of anything but two vectors")
    column = Value(left.dtype, (left.shape[0], affine.ONE), lambda i: left.at(i[:1]), left.weak)
    return elementwise.elementwise(Op.MULTIPLY, np.multiply, column, right)


def _where(call: Call) -> Lifted:
    if call.keywords or len(call.arguments) != 3:
        raise NotLifted("np.where with one argument")
    return elementwise.where(*(_value(a, "where") for a in call.arguments))


def _clip(call: Call) -> Lifted:
    if call.keywords or len(call.arguments) != 3:
        raise NotLifted("np.clip with options")
    return elementwise.clipped(*(_value(a, "clip") for a in call.arguments))


def _square(call: Call) -> Lifted:
    values = [_value(a, "square") for a in call.arguments]
    if call.keywords or len(values) != 1:
        raise NotLifted("np.square with options")
    return elementwise.elementwise(Op.MULTIPLY, np.multiply, values[0], values[0])


def _item(call: Call) -> Lifted:
    value = _value(call.arguments[0], "item")
    if value.is_array or call.keywords:
        raise NotLifted("item of an array")
    return scalar_value(value.scalar, weak=True)


def _value(lifted: Lifted | bool, name: str) -> Value:
    if isinstance(lifted, Value):
        return lifted
    raise NotLifted(f"{name} of something that is neither a number nor an array")


_HANDLERS: dict[str, Handler] = {
    "zeros": _filled(0, like=False),
    "ones": _filled(1, like=False),
    "empty": _filled(None, like=False),
    "zeros_like": _filled(0, like=True),
    "ones_like": _filled(1, like=True),
    "empty_like": _filled(None, like=True),
    "full": _full,
    "arange": _arange,
    "copy": _copy,
    "array": _copy,
    "asarray": _same,
    "ascontiguousarray": _same,
    "astype": _astype,
    "transpose": _transpose,
    "reshape": _reshape,
    "dot": _dot,
    "matmul": _dot,
    "tensordot": _tensordot,
    "outer": _outer,
    "where": _where,
    "clip": _clip,
    "square": _square,
    "item": _item,
}
