"""Histograms with bins of equal width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Constant, Expression, If, Loop, Op, Position, Reduction, Store
from outpace.codegen.nests.lifting import creation
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.calls import Call, Handler, value_of
from outpace.codegen.nests.lifting.elementwise import converted, elementwise, logical, where
from outpace.codegen.nests.lifting.shaping import flattened, size
from outpace.codegen.nests.lifting.values import (
    Lifted,
    Value,
    cast,
    literal,
    position,
    scalar_value,
)
from outpace.errors import NotLifted


def _histogram(call: Call) -> Lifted:
    """Counts, or sums of weights, and the edges of the bins."""
    given = call.bound("a", "bins", "range", "density", "weights")
    values = _flat(call.builder, value_of(given["a"], call.name), "float64 or int64")
    bins = value_of(given.get("bins", literal(10)), call.name)
    if given.get("density") is not None or bins.is_array or bins.dtype[0] not in "iu":
        raise NotLifted("np.histogram with a density, or with edges of its own")
    builder = call.builder
    count = builder.size(bins.scalar)
    ends = _ends(builder, values, given.get("range"))
    edges = _edges(builder, ends, count)
    weights: Value | None = None
    if given.get("weights") is not None:
        weights = _flat(builder, value_of(given["weights"], call.name), "float64")
    dtype = "int64" if weights is None else weights.dtype
    zero = cast(Constant(0, "int64"), dtype)
    histogram = builder.materialised(Value(dtype, (count,), lambda _: zero), builder.hint)
    index = builder.fresh("k")
    at = (Position(affine.symbol(index)),)
    with builder.block() as block:
        value = _named(builder, converted(scalar_value(values.at(at)), "float64", weak=False))
        added = literal(1) if weights is None else scalar_value(weights.at(at))
        with builder.block() as counted:
            place = _place(builder, value, ends, edges)
            sum_ = elementwise(Op.ADD, np.add, scalar_value(histogram.at((place,))), added)
            assert histogram.storage is not None
            builder.emit(Store(histogram.storage, (place,), cast(sum_.scalar, dtype)))
        builder.emit(If(_inside(value, ends), tuple(counted), ()))
    stop = Position(builder.extent(values.shape[0]))
    first, by = (Constant(c, "int64") for c in (0, 1))
    builder.emit(Loop(index, first, stop, by, tuple(block)))
    return histogram, edges


def _flat(builder: Builder, value: Value, dtypes: str) -> Value:
    """All elements of an array along one axis."""
    if not value.is_array or value.dtype not in dtypes.split(" or "):
        raise NotLifted(f"np.histogram of anything but arrays of {dtypes}")
    return value if len(value.shape) == 1 else flattened(builder, value)


def _ends(builder: Builder, values: Value, given: Lifted) -> tuple[Value, Value]:
    """The outermost edges, apart from each other."""
    if isinstance(given, tuple) and len(given) == 2:
        low, high = (value_of(end, "np.histogram") for end in given)
    elif given is not None:
        raise NotLifted("np.histogram with a range that is no pair")
    else:
        empty = elementwise(Op.EQUAL, np.equal, size(builder, values), literal(0))
        least, most = (
            builder.reduced(kind, values, (0,), values.dtype, keepdims=False)
            for kind in (Reduction.MIN, Reduction.MAX)
        )
        low, high = where(empty, literal(0.0), least), where(empty, literal(1.0), most)
    low, high = (_named(builder, converted(end, "float64", weak=False)) for end in (low, high))
    same = elementwise(Op.EQUAL, np.equal, low, high)
    half = literal(0.5)
    below = where(same, elementwise(Op.SUBTRACT, np.subtract, low, half), low)
    above = where(same, elementwise(Op.ADD, np.add, high, half), high)
    return _named(builder, below), _named(builder, above)


def _named(builder: Builder, value: Value) -> Value:
    return scalar_value(builder.named(value.scalar, "number"))


def _edges(builder: Builder, ends: tuple[Value, Value], count: Affine) -> Value:
    """One edge more than there are bins."""
    number = position(affine.plus(count, affine.ONE))
    found = creation.HANDLERS["linspace"](Call(builder, "linspace", (*ends, number), {}))
    return builder.materialised(value_of(found, "linspace"), "edges")


def _inside(value: Value, ends: tuple[Value, Value]) -> Expression:
    low, high = ends
    above = elementwise(Op.GREATER_EQUAL, np.greater_equal, value, low)
    return logical(
        Op.LOGICAL_AND, above, elementwise(Op.LESS_EQUAL, np.less_equal, value, high)
    ).scalar


def _place(builder: Builder, value: Value, ends: tuple[Value, Value], edges: Value) -> Expression:
    """The bin of a number, computed and then set right by comparing with the edges, as in NumPy."""
    low, high = ends
    count = position(affine.minus(edges.shape[0], affine.ONE))
    last = position(affine.minus(edges.shape[0], affine.constant(2)))
    above = elementwise(Op.SUBTRACT, np.subtract, value, low)
    width = elementwise(Op.SUBTRACT, np.subtract, high, low)
    part = elementwise(Op.DIVIDE, np.divide, above, width)
    whole = converted(elementwise(Op.MULTIPLY, np.multiply, part, count), "int64", weak=False)
    place = _named(builder, elementwise(Op.MINIMUM, np.minimum, whole, last))
    before = elementwise(Op.LESS, np.less, value, scalar_value(edges.at((place.scalar,))))
    place = _named(builder, _moved(place, before, Op.SUBTRACT, np.subtract))
    after = elementwise(Op.ADD, np.add, place, literal(1)).scalar
    beyond = elementwise(
        Op.GREATER_EQUAL, np.greater_equal, value, scalar_value(edges.at((after,)))
    )
    inner = elementwise(Op.NOT_EQUAL, np.not_equal, place, last)
    further = logical(Op.LOGICAL_AND, beyond, inner)
    return _named(builder, _moved(place, further, Op.ADD, np.add)).scalar


def _moved(place: Value, condition: Value, op: Op, function: Callable[..., Any]) -> Value:
    """The next bin in one direction where a condition holds."""
    return where(condition, elementwise(op, function, place, literal(1)), place)


HANDLERS: dict[str, Handler] = {"histogram": _histogram}
