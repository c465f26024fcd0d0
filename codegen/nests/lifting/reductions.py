"""Sums, means, extremes and what is made of them, over axes or over the elements of a mask."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import (
    Apply,
    Assign,
    Constant,
    Expression,
    If,
    Loop,
    Nest,
    Op,
    Position,
    Range,
    Reduction,
    Statement,
    Store,
    Variable,
)
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.calls import (
    Call,
    Handler,
    axes_of,
    axis_of,
    dtype_of,
    flag_of,
    literal_of,
    of_numpy,
    product_of,
    truth,
    value_of,
)
from outpace.codegen.nests.lifting.elementwise import converted, elementwise, spread
from outpace.codegen.nests.lifting.indexing import Cut, subscript
from outpace.codegen.nests.lifting.shaping import diagonal, flattened
from outpace.codegen.nests.lifting.values import (
    Indices,
    Lifted,
    Selection,
    Value,
    cast,
    literal,
    result_type,
    scalar_value,
)
from outpace.errors import NotLifted

_KINDS = {
    "sum": Reduction.SUM,
    "prod": Reduction.PROD,
    "max": Reduction.MAX,
    "amax": Reduction.MAX,
    "min": Reduction.MIN,
    "amin": Reduction.MIN,
    "any": Reduction.ANY,
    "all": Reduction.ALL,
}


def _reduced(call: Call) -> Lifted:
    given = call.bound("a", "axis", "dtype", "out", "keepdims")
    source = given["a"]
    if given.get("out") is not None:
        raise NotLifted(f"{call.name} with out")
    if isinstance(source, Selection):
        return _of_selection(call, source, given)
    value = value_of(source, call.name)
    if not value.shape:
        if set(given) - {"a"} or call.name not in ("sum", "mean", "max", "min"):
            raise NotLifted(f"{call.name} of a scalar")
        dtype, _ = result_type(of_numpy(call.name), value)
        return converted(value, dtype, weak=False)
    axes = axes_of(given.get("axis"), len(value.shape))
    keepdims = flag_of(_given(given.get("keepdims"), default=False))
    return _total(call, value, axes, given.get("dtype"), keepdims=keepdims)


def summed_rows(builder: Builder, value: Value) -> Value:
    """Python's `sum` of an array: 0 plus its elements, or rows."""
    if not value.shape:
        raise NotLifted("sum of a scalar")
    first = Value(value.dtype, value.shape[1:], lambda i: value.at((Position(affine.ZERO), *i)))
    dtype, _ = result_type(operator.add, literal(0), first)
    return builder.reduced(Reduction.SUM, value, (0,), dtype, keepdims=False)


def _given(lifted: Lifted, *, default: bool) -> Lifted | bool:
    return default if lifted is None else lifted


def _total(
    call: Call, value: Value, axes: tuple[int, ...], forced: Lifted, *, keepdims: bool
) -> Value:
    """The reduction that a call names."""
    mean = call.name in ("mean", "average")
    name = "mean" if mean else call.name
    kind = Reduction.SUM if mean else _KINDS[name]
    dtype, _ = result_type(of_numpy(name), value)
    dtype = "bool" if name in ("any", "all") else dtype_of(forced, dtype)
    if kind in (Reduction.MAX, Reduction.MIN) and dtype[0] not in "iuf":
        raise NotLifted(f"{name} of {dtype}")
    total = call.builder.reduced(kind, value, axes, dtype, keepdims=keepdims)
    return _divided(total, _count(call.builder, value, axes)) if mean else total


def _count(builder: Builder, value: Value, axes: tuple[int, ...]) -> Value:
    return product_of(builder, tuple(value.shape[k] for k in axes))


def _divided(total: Value, count: Value) -> Value:
    return elementwise(Op.DIVIDE, np.divide, total, count)


# --- Masks --------------------------------------------------------------------------------------


def _of_selection(call: Call, selection: Selection, given: Mapping[str, Lifted]) -> Lifted:
    """A reduction over the selected elements, or rows; the others count as neutral ones."""
    source, mask = selection.source, spread(selection.mask, selection.source.shape)
    options = sorted(set(given) - {"a", "axis"})
    axis = given.get("axis")
    if options or (axis is not None and len(selection.mask.shape) > 1):
        raise NotLifted(f"{call.name} of masked elements with {options or 'an axis'}")
    axes = axes_of(axis, len(source.shape))
    if 0 not in axes:
        raise NotLifted(f"{call.name} of each of the rows that a mask selects")
    name = "mean" if call.name == "average" else call.name
    dtype, _ = result_type(of_numpy(name), _flat(source))
    dtype = "bool" if name in ("any", "all") else dtype
    kind = Reduction.SUM if name == "mean" else _KINDS[name]
    neutral = _neutral(kind, dtype)

    def at(indices: Indices) -> Expression:
        chosen = cast(source.at(indices), dtype)
        return Apply(Op.WHERE, (mask.at(indices), chosen, neutral), dtype)

    whole = Value(dtype, source.shape, at)
    total = call.builder.reduced(kind, whole, axes, dtype, keepdims=False)
    if name != "mean":
        return total
    rows = len(selection.mask.shape)
    count = selected(call.builder, selection.mask)
    beside = tuple(k for k in axes if k >= rows)
    if beside:
        count = elementwise(Op.MULTIPLY, np.multiply, count, _count(call.builder, source, beside))
    return _divided(total, count)


def _flat(value: Value) -> Value:
    return Value(value.dtype, (affine.ONE,), value.at)


def _neutral(kind: Reduction, dtype: str) -> Constant:
    """What changes no result; the extremes of no elements, which NumPy refuses, are not judged."""
    if kind in (Reduction.MAX, Reduction.MIN):
        if dtype[0] == "f":
            return Constant(-np.inf if kind is Reduction.MAX else np.inf, dtype)
        if dtype[0] not in "iu":
            raise NotLifted(f"an extreme of {dtype}")
        limits = np.iinfo(dtype)
        return Constant(int(limits.min if kind is Reduction.MAX else limits.max), dtype)
    content = 1 if kind in (Reduction.PROD, Reduction.ALL) else 0
    return Constant(np.dtype(dtype).type(content).item(), dtype)


def selected(builder: Builder, mask: Value) -> Value:
    """How many elements a mask selects, as a Python int."""
    axes = tuple(range(len(mask.shape)))
    total = builder.reduced(Reduction.SUM, mask, axes, "int64", keepdims=False)
    return scalar_value(total.scalar, weak=True)


def _count_nonzero(call: Call) -> Lifted:
    given = call.bound("a", "axis")
    value = value_of(given["a"], call.name)
    if given.get("axis") is not None or not value.shape:
        raise NotLifted("np.count_nonzero with an axis")
    return selected(call.builder, converted(value, "bool", weak=False))


# --- Moments ------------------------------------------------------------------------------------


def _spread(call: Call) -> Lifted:
    """`np.var` and `np.std`, in two passes as NumPy does it."""
    given = call.bound("a", "axis", "dtype", "out", "ddof", "keepdims")
    value = value_of(given["a"], call.name)
    if given.get("dtype") is not None or given.get("out") is not None or not value.shape:
        raise NotLifted(f"{call.name} with these options")
    if value.dtype[0] == "c":
        raise NotLifted(f"{call.name} of complex values")
    axes = axes_of(given.get("axis"), len(value.shape))
    keepdims = flag_of(_given(given.get("keepdims"), default=False))
    freedom = literal_of(given.get("ddof", literal(0)), "ddof")
    builder = call.builder
    mean = _total(replace(call, name="mean"), value, axes, None, keepdims=True)
    if not mean.storage:
        mean = builder.materialised(mean, f"mean_of_{builder.hint}")
    centred = elementwise(Op.SUBTRACT, np.subtract, value, mean)
    squares = elementwise(Op.MULTIPLY, np.multiply, centred, centred)
    dtype, _ = result_type(np.var, value)
    total = builder.reduced(Reduction.SUM, squares, axes, dtype, keepdims=keepdims)
    count = _count(builder, value, axes)
    if freedom:
        fewer = elementwise(Op.SUBTRACT, np.subtract, count, literal(freedom))
        count = scalar_value(
            Apply(Op.MAXIMUM, (cast(fewer.scalar, "int64"), Constant(0, "int64")), "int64"),
            weak=True,
        )
    variance = _divided(total, count)
    return variance if call.name == "var" else elementwise(Op.SQRT, np.sqrt, variance)


def _norm(call: Call) -> Lifted:
    """The Euclidean norm of all elements, or along an axis."""
    given = call.bound("x", "ord", "axis", "keepdims")
    value = value_of(given["x"], call.name)
    axis: Lifted = given.get("axis")
    order = _order(given.get("ord"), value, axis)
    if value.dtype[0] != "f":
        value = converted(value, "float64", weak=False) if value.dtype[0] in "iu" else value
    if value.dtype[0] != "f":
        raise NotLifted(f"np.linalg.norm of {value.dtype}")
    if order != 2:
        sizes = elementwise(Op.ABSOLUTE, np.absolute, value)
        name = "sum" if order == 1 else "max"
        return _reduced(replace(call, name=name, arguments=(sizes,), keywords=_without(given)))
    squares = elementwise(Op.MULTIPLY, np.multiply, value, value)
    axes = axes_of(axis, len(value.shape))
    keepdims = flag_of(_given(given.get("keepdims"), default=False))
    total = call.builder.reduced(Reduction.SUM, squares, axes, value.dtype, keepdims=keepdims)
    return elementwise(Op.SQRT, np.sqrt, total)


def _order(order: Lifted, value: Value, axis: Lifted) -> float:
    """1, 2 or infinity, of vectors; 2 for all elements of any array."""
    if isinstance(axis, tuple) or not value.shape:
        raise NotLifted("np.linalg.norm of a scalar, or over several axes")
    if order is None or (order == "fro" and axis is None and len(value.shape) == 2):
        return 2
    known = order.scalar if isinstance(order, Value) and not order.is_array else None
    is_vector = axis is not None or len(value.shape) == 1
    if not is_vector or not isinstance(known, Constant) or known.value not in (1, 2, np.inf):
        raise NotLifted("np.linalg.norm of another order than 1, 2 or inf of vectors")
    return float(known.value.real)


def _without(given: Mapping[str, Lifted]) -> dict[str, Lifted]:
    """The options of a reduction."""
    return {k: v for k, v in given.items() if k in ("axis", "keepdims")}


def _trapezoid(call: Call) -> Lifted:
    """`np.trapezoid`, the area under a polygon."""
    given = call.bound("y", "x", "dx", "axis")
    value, x = value_of(given["y"], call.name), given.get("x")
    axis = axis_of(given.get("axis", literal(-1)), len(value.shape))
    builder = call.builder

    def halves(v: Value, along: int) -> tuple[Value, Value]:
        before, after = Cut(None, literal(-1), None), Cut(literal(1), None, None)
        whole = [Cut(None, None, None)] * along
        return subscript(builder, v, [*whole, after]), subscript(builder, v, [*whole, before])

    width: Value = value_of(given.get("dx", literal(1.0)), call.name)
    if x is not None:
        places = value_of(x, call.name)
        if len(places.shape) != 1 or axis != len(value.shape) - 1:
            raise NotLifted(f"np.{call.name} over places that are no vector along the last axis")
        width = elementwise(Op.SUBTRACT, np.subtract, *halves(places, 0))
    both = elementwise(Op.ADD, np.add, *halves(value, axis))
    areas = elementwise(Op.MULTIPLY, np.multiply, width, both)
    parts = elementwise(Op.DIVIDE, np.divide, areas, literal(2.0))
    return builder.reduced(Reduction.SUM, parts, (axis,), parts.dtype, keepdims=False)


def _diagonal_sum(call: Call) -> Lifted:
    (value,) = call.only(1)
    along = diagonal(call.builder, value)
    dtype, _ = result_type(np.sum, along)
    return call.builder.reduced(Reduction.SUM, along, (0,), dtype, keepdims=False)


def _range(call: Call) -> Lifted:
    """`np.ptp`."""
    high, low = (_reduced(replace(call, name=name)) for name in ("max", "min"))
    return elementwise(
        Op.SUBTRACT, np.subtract, value_of(high, call.name), value_of(low, call.name)
    )


# --- In order -----------------------------------------------------------------------------------


def _cumulative(call: Call) -> Lifted:
    """`np.cumsum` and `np.cumprod`: one loop along the axis, in NumPy's order."""
    given = call.bound("a", "axis", "dtype")
    value = value_of(given["a"], call.name)
    if given.get("axis") is None and len(value.shape) != 1:
        raise NotLifted(f"np.{call.name} without an axis")
    axis = axis_of(given.get("axis", literal(0)), len(value.shape))
    dtype = dtype_of(given.get("dtype"), result_type(of_numpy(call.name), value)[0])
    builder = call.builder
    target = builder.allocate(builder.hint, dtype, value.shape)
    ranges = builder.indices((*value.shape[:axis], *value.shape[axis + 1 :]))
    step, total = builder.fresh("k"), Variable(builder.fresh("total"), dtype)
    outer: Indices = tuple(Position(affine.symbol(r.name)) for r in ranges)
    here = (*outer[:axis], Position(affine.symbol(step)), *outer[axis:])
    op = Op.ADD if call.name == "cumsum" else Op.MULTIPLY
    combined = Apply(op, (total, cast(value.at(here), dtype)), dtype)
    start = cast(Constant(0 if op is Op.ADD else 1, "int64"), dtype)
    assert target.storage is not None
    loop = _counted(
        step,
        Constant(0, "int64"),
        value.shape[axis],
        (Assign(total.name, combined), Store(target.storage, here, total)),
    )
    body = (Assign(total.name, start), loop)
    _emit_over(builder, ranges, body)
    return target


def _counted(name: str, start: Expression, stop: Affine, body: tuple[Statement, ...]) -> Loop:
    return Loop(name, start, Position(stop), Constant(1, "int64"), body)


def _emit_over(builder: Builder, ranges: tuple[Range, ...], body: tuple[Statement, ...]) -> None:
    if ranges:
        builder.emit(Nest(ranges, body))
        return
    for s in body:
        builder.emit(s)


def _place_of_extreme(call: Call) -> Lifted:
    """`np.argmax` and `np.argmin`: the first such element, the first NaN if there is one."""
    given = call.bound("a", "axis")
    value = value_of(given["a"], call.name)
    if value.dtype[0] not in "iuf" or not value.shape:
        raise NotLifted(f"np.{call.name} of {value.dtype}, or of a scalar")
    if given.get("axis") is None:
        value = flattened(call.builder, value)
    axis = axis_of(given.get("axis", literal(0)), len(value.shape))
    builder = call.builder
    shape = (*value.shape[:axis], *value.shape[axis + 1 :])
    ranges = builder.indices(shape)
    outer: Indices = tuple(Position(affine.symbol(r.name)) for r in ranges)
    step = builder.fresh("k")
    best = Variable(builder.fresh("best"), value.dtype)
    following = Variable(builder.fresh("following"), value.dtype)
    place = Variable(builder.fresh("place"), "int64")

    def at(position: Affine) -> Expression:
        return value.at((*outer[:axis], Position(position), *outer[axis:]))

    sign = Op.GREATER if call.name == "argmax" else Op.LESS
    better = truth(sign, following, best)
    if value.dtype[0] == "f":
        known = truth(Op.EQUAL, best, best)
        undefined = truth(Op.NOT_EQUAL, following, following)
        better = truth(Op.LOGICAL_OR, better, truth(Op.LOGICAL_AND, undefined, known))
    here = affine.symbol(step)
    taken = (Assign(best.name, following), Assign(place.name, Position(here)))
    loop = _counted(
        step,
        Constant(1, "int64"),
        value.shape[axis],
        (Assign(following.name, at(here)), If(better, taken, ())),
    )
    body: tuple[Statement, ...] = (
        Assign(best.name, at(affine.ZERO)),
        Assign(place.name, Constant(0, "int64")),
        loop,
    )
    if not ranges:
        _emit_over(builder, ranges, body)
        return scalar_value(place)
    target = builder.allocate(builder.hint, "int64", shape)
    assert target.storage is not None
    _emit_over(builder, ranges, (*body, Store(target.storage, outer, place)))
    return target


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys((*_KINDS, "mean", "average"), _reduced),
    "count_nonzero": _count_nonzero,
    "var": _spread,
    "std": _spread,
    "linalg.norm": _norm,
    "trace": _diagonal_sum,
    "trapezoid": _trapezoid,
    "trapz": _trapezoid,
    "ptp": _range,
    "cumsum": _cumulative,
    "cumprod": _cumulative,
    "argmax": _place_of_extreme,
    "argmin": _place_of_extreme,
}
