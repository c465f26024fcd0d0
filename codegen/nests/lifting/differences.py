"""Differences of neighbours, and sums of products with shifted copies, along one axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Constant, Expression, Loop, Op, Position
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.calls import (
    Call,
    Handler,
    axes_of,
    axis_of,
    integer,
    literal_of,
    truth,
    value_of,
)
from outpace.codegen.nests.lifting.elementwise import converted, elementwise
from outpace.codegen.nests.lifting.indexing import Cut, subscript
from outpace.codegen.nests.lifting.shaping import joined, stretch
from outpace.codegen.nests.lifting.stores import store
from outpace.codegen.nests.lifting.values import (
    Lifted,
    Value,
    cast,
    element,
    literal,
    result_type,
)
from outpace.errors import NotLifted

_ALL = Cut(None, None, None)


def _diff(call: Call) -> Lifted:
    """Differences of neighbours, several times over."""
    given = call.bound("a", "n", "axis", "prepend", "append")
    value = value_of(given["a"], call.name)
    axis = axis_of(given.get("axis", literal(-1)), len(value.shape))
    order = literal_of(given.get("n", literal(1)), "n of np.diff")
    if order < 0 or value.dtype == "bool":
        raise NotLifted("np.diff of this order or dtype")
    around = [_beside(given.get(name), value, axis) for name in ("prepend", "append")]
    parts = [p for p in (around[0], value, around[1]) if p is not None]
    if len(parts) > 1:
        value = joined(call.builder, parts, axis)
    for _ in range(order):
        left, right = (_cut(call.builder, value, axis, *ends) for ends in ((1, None), (None, -1)))
        value = elementwise(Op.SUBTRACT, np.subtract, left, right)
    return value


def _beside(lifted: Lifted, value: Value, axis: int) -> Value | None:
    """What `np.diff` puts before or after an array; a number stands for a slice of it."""
    if lifted is None:
        return None
    part = value_of(lifted, "np.diff")
    if part.is_array:
        return part
    shape = (*value.shape[:axis], affine.ONE, *value.shape[axis + 1 :])
    return Value(part.dtype, shape, lambda i: element(part, i))


def _cut(builder: Builder, value: Value, axis: int, start: int | None, stop: int | None) -> Value:
    """A slice along one axis."""
    first, last = (None if end is None else literal(end) for end in (start, stop))
    items = [_ALL] * len(value.shape)
    items[axis] = Cut(first, last, None)
    return subscript(builder, value, items)


def _gradient(call: Call) -> Lifted:
    """Central differences inside, one-sided ones at the ends; one array for every axis."""
    value = value_of(call.arguments[0], call.name)
    unknown = set(call.keywords) - {"axis", "edge_order"}
    if unknown or not value.shape:
        raise NotLifted(f"np.gradient with {', '.join(sorted(unknown)) or 'a scalar'}")
    if literal_of(call.keywords.get("edge_order", literal(1)), "an edge order") != 1:
        raise NotLifted("np.gradient with this edge order")
    axis: Lifted = call.keywords.get("axis")
    axes = axes_of(axis, len(value.shape))
    if isinstance(axis, tuple) and [axis_of(a, len(value.shape)) for a in axis] != list(axes):
        raise NotLifted("np.gradient with axes in another order")
    if value.dtype[0] not in "fc":
        value = converted(value, "float64", weak=False)
    steps: Sequence[Lifted] = call.arguments[1:] or (literal(1.0),)
    steps = [*steps] * (len(axes) if len(steps) == 1 else 1)
    if len(steps) != len(axes):
        raise NotLifted("np.gradient with another number of spacings than axes")
    found = tuple(_slope(call, value, k, s) for k, s in zip(axes, steps, strict=True))
    return found[0] if len(found) == 1 else found


def _slope(call: Call, value: Value, axis: int, spacing: Lifted) -> Value:
    """The gradient along one axis."""
    builder = call.builder
    step = value_of(spacing, call.name)
    if step.is_array:
        raise NotLifted("np.gradient with coordinates")
    extent = value.shape[axis]
    two = elementwise(Op.MULTIPLY, np.multiply, literal(2.0), step)
    last = affine.minus(extent, affine.ONE)
    inside = affine.minus(extent, affine.constant(2))
    target = builder.allocate(builder.hint, value.dtype, value.shape)
    places = (
        (affine.ONE, inside, affine.constant(2), affine.ZERO, two),
        (affine.ZERO, affine.ONE, affine.ONE, affine.ZERO, step),
        (last, affine.ONE, last, inside, step),
    )
    for start, length, after, before, width in places:
        ends = (stretch(value, axis, place, length) for place in (after, before))
        rise = elementwise(Op.SUBTRACT, np.subtract, *ends)
        quotient = elementwise(Op.DIVIDE, np.divide, rise, width)
        store(builder, stretch(target, axis, start, length), quotient)
    return Value(target.dtype, target.shape, target.at, storage=target.storage)


# --- Convolutions -------------------------------------------------------------------------------


def _convolve(call: Call) -> Lifted:
    given = call.bound("a", "v", "mode")
    signal, kernel = (value_of(given[k], call.name) for k in ("a", "v"))
    return _part(call.builder, signal, kernel, given.get("mode", "full"), turned=False)


def _correlate(call: Call) -> Lifted:
    """A convolution with the kernel turned around, and conjugated."""
    given = call.bound("a", "v", "mode")
    signal, kernel = (value_of(given[k], call.name) for k in ("a", "v"))
    if len(kernel.shape) == 1:
        kernel = subscript(call.builder, kernel, [Cut(None, None, literal(-1))])
    if kernel.dtype[0] == "c":
        kernel = elementwise(Op.CONJUGATE, np.conjugate, kernel)
    return _part(call.builder, signal, kernel, given.get("mode", "valid"), turned=True)


def _part(builder: Builder, signal: Value, kernel: Value, mode: Lifted, *, turned: bool) -> Value:
    """The part of a convolution that a mode selects.

    Args:
        builder: Takes the statements.
        signal: A vector.
        kernel: Another one.
        mode: Of NumPy.
        turned: Whether NumPy turns the result around where the signal is the shorter one, so that
            its middle lies one further.
    """
    if len(signal.shape) != 1 or len(kernel.shape) != 1 or mode not in ("full", "same", "valid"):
        raise NotLifted("a convolution of anything but two vectors, or with this mode")
    full = _convolved(builder, signal, kernel)
    if mode == "full":
        return full
    n, m = (Position(v.shape[0]) for v in (signal, kernel))
    shorter, longer = (builder.size(integer(op, n, m)) for op in (Op.MINIMUM, Op.MAXIMUM))
    if mode == "valid":
        over = affine.minus(shorter, affine.ONE)
        return stretch(full, 0, over, builder.extent(affine.minus(longer, over)))
    begin: Expression = Position(affine.minus(shorter, affine.ONE))
    if turned:
        begin = integer(Op.ADD, begin, cast(truth(Op.LESS, n, m), "int64"))
    start = builder.size(integer(Op.FLOOR_DIVIDE, begin, Constant(2, "int64")))
    return stretch(full, 0, start, longer)


def _convolved(builder: Builder, signal: Value, kernel: Value) -> Value:
    """Every element of the kernel adds its multiple of the signal."""
    dtype, _ = result_type(np.multiply, signal, kernel)
    if dtype == "bool":
        raise NotLifted("a convolution of bools")
    if builder.reproducible and dtype[0] in "fc":
        raise NotLifted("a loop sums in another order than NumPy, and reproducible=True")
    held = [_held(builder, v) for v in (signal, kernel)]
    extents = [builder.extent(v.shape[0]) for v in held]
    count = builder.extent(affine.minus(affine.plus(*extents), affine.ONE))
    zero = cast(Constant(0, "int64"), dtype)
    full = builder.materialised(Value(dtype, (count,), lambda _: zero), builder.hint)
    name = builder.fresh("k")
    at = affine.symbol(name)
    builder.bounds.add_loop(name, affine.ZERO, affine.minus(extents[1], affine.ONE))
    target = stretch(full, 0, at, extents[0])
    factor = Value(held[1].dtype, (), lambda _: held[1].at((Position(at),)))
    with builder.block() as block:
        term = elementwise(Op.MULTIPLY, np.multiply, held[0], factor)
        builder.fill(target, elementwise(Op.ADD, np.add, target, term))
    first, by = (Constant(c, "int64") for c in (0, 1))
    builder.emit(Loop(name, first, Position(extents[1]), by, tuple(block)))
    return full


def _held(builder: Builder, value: Value) -> Value:
    """A vector that is computed once."""
    return value if value.storage is not None else builder.materialised(value, "part")


HANDLERS: dict[str, Handler] = {
    "diff": _diff,
    "gradient": _gradient,
    "convolve": _convolve,
    "correlate": _correlate,
}
