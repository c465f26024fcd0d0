"""Functions that move elements of arrays and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Apply, Constant, Expression, Op, Position
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.calls import (
    Call,
    Handler,
    axes_of,
    axis_of,
    integer,
    literal_of,
    product_of,
    shape_of,
    truth,
    value_of,
)
from outpace.codegen.nests.lifting.indexing import Cut, subscript
from outpace.codegen.nests.lifting.values import (
    Indices,
    Lifted,
    Value,
    as_affine,
    cast,
    element,
    literal,
    position,
    result_type,
)
from outpace.errors import NotLifted

_ALL = Cut(None, None, None)


def exchanged(value: Value, order: tuple[int, ...]) -> Value:
    """A view with its axes in another order."""
    shape = tuple(value.shape[k] for k in order)

    def at(indices: Indices) -> Expression:
        return value.at(tuple(indices[order.index(k)] for k in range(len(order))))

    return Value(value.dtype, shape, at, storage=value.storage)


def _transpose(call: Call) -> Lifted:
    value = value_of(call.arguments[0], call.name)
    given = dict(call.keywords)
    parts: Lifted = given.pop("axes", None)
    rest = call.arguments[1:]
    if rest:
        parts = rest[0] if isinstance(rest[0], tuple) else tuple(rest)
    if given:
        raise NotLifted(f"{call.name} with {sorted(given)}")
    rank = len(value.shape)
    if parts is None:
        return exchanged(value, tuple(range(rank))[::-1])
    order = tuple(axis_of(p, rank) for p in parts) if isinstance(parts, tuple) else ()
    if sorted(order) != list(range(rank)):
        raise NotLifted("np.transpose with axes that are no permutation")
    return exchanged(value, order)


def _swapaxes(call: Call) -> Lifted:
    given = call.bound("a", "axis1", "axis2")
    value = value_of(given["a"], call.name)
    rank = len(value.shape)
    first, second = (axis_of(given[k], rank) for k in ("axis1", "axis2"))
    order = list(range(rank))
    order[first], order[second] = second, first
    return exchanged(value, tuple(order))


def _moveaxis(call: Call) -> Lifted:
    given = call.bound("a", "source", "destination")
    value = value_of(given["a"], call.name)
    rank = len(value.shape)
    source, target = (axis_of(given[k], rank) for k in ("source", "destination"))
    order = [k for k in range(rank) if k != source]
    order.insert(target, source)
    return exchanged(value, tuple(order))


def _reshape(call: Call) -> Lifted:
    """Another shape of a whole array, which stays where it is."""
    value = value_of(call.arguments[0], call.name)
    given = dict(call.keywords)
    parts: Sequence[Lifted] = call.arguments[1:]
    if not parts:
        key = "shape" if "shape" in given else "newshape"
        parts = (given.pop(key, None),)
    if len(parts) == 1 and isinstance(parts[0], tuple):
        parts = parts[0]
    if given.pop("order", "C") != "C" or given:
        raise NotLifted("a reshape with options")
    values = [value_of(p, call.name) for p in parts]
    free = [k for k, v in enumerate(values) if as_affine(v.scalar) == affine.constant(-1)]
    extents = [
        affine.ONE if k in free else call.builder.size(v.scalar) for k, v in enumerate(values)
    ]
    if len(free) > 1:
        raise NotLifted("a reshape with more than one -1")
    if free:
        rest = product_of(call.builder, tuple(extents)).scalar
        total = product_of(call.builder, value.shape).scalar
        extents[free[0]] = call.builder.size(integer(Op.FLOOR_DIVIDE, total, rest))
    return reshaped(call.builder, value, tuple(extents))


def reshaped(builder: Builder, value: Value, shape: tuple[Affine, ...]) -> Value:
    """Another shape; axes of extent 1 come and go without touching memory."""
    one = affine.ONE
    if [n for n in shape if n != one] != [n for n in value.shape if n != one]:
        return builder.reshaped(value, shape)

    def at(indices: Indices) -> Expression:
        kept = iter([i for i, n in zip(indices, shape, strict=True) if n != one])
        return value.at(
            tuple(Position(affine.ZERO) if n == one else next(kept) for n in value.shape)
        )

    return Value(value.dtype, shape, at, storage=value.storage)


def _ravel(call: Call) -> Lifted:
    """One axis: of a whole array without a copy, but `flatten` copies."""
    flat = flattened(call.builder, *call.only(1))
    return flat if call.name == "ravel" else Value(flat.dtype, flat.shape, flat.at)


def flattened(builder: Builder, value: Value) -> Value:
    """All elements along one axis; a view of a whole array."""
    known = as_affine(product_of(builder, value.shape).scalar)
    assert known is not None
    return reshaped(builder, value, (known,))


def _expand_dims(call: Call) -> Lifted:
    given = call.bound("a", "axis")
    value = value_of(given["a"], call.name)
    added = axes_of(given["axis"], len(value.shape) + _count(given["axis"]))
    items = [None if k in added else _ALL for k in range(len(value.shape) + len(added))]
    return subscript(call.builder, value, items)


def _count(axis: Lifted) -> int:
    return len(axis) if isinstance(axis, tuple) else 1


def _squeeze(call: Call) -> Lifted:
    given = call.bound("a", "axis")
    value = value_of(given["a"], call.name)
    if given.get("axis") is None:
        raise NotLifted("np.squeeze without an axis")
    gone = axes_of(given["axis"], len(value.shape))
    if any(value.shape[k] != affine.ONE for k in gone):
        raise NotLifted("np.squeeze of an axis whose extent is not known to be 1")
    return subscript(
        call.builder, value, [literal(0) if k in gone else _ALL for k in range(len(value.shape))]
    )


def _flip(call: Call) -> Lifted:
    given = call.bound("m", "axis")
    value = value_of(given["m"], call.name)
    axis: Lifted = given.get("axis")
    if call.name in ("flipud", "fliplr"):
        axis = literal(0 if call.name == "flipud" else 1)
    turned = axes_of(axis, len(value.shape))
    back = Cut(None, None, literal(-1))
    items = [back if k in turned else _ALL for k in range(len(value.shape))]
    return subscript(call.builder, value, items)


def _roll(call: Call) -> Lifted:
    """Two blocks change places."""
    given = call.bound("a", "shift", "axis")
    value = value_of(given["a"], call.name)
    if given.get("axis") is None and len(value.shape) != 1:
        flat = flattened(call.builder, value)
        rolled = _roll(Call(call.builder, call.name, (flat, given["shift"]), {}))
        return reshaped(call.builder, value_of(rolled, call.name), value.shape)
    axes, shifts = given.get("axis", literal(0)), given["shift"]
    pairs = (
        zip(axes, shifts, strict=True)
        if isinstance(axes, tuple) and isinstance(shifts, tuple)
        else [(axes, shifts)]
    )
    for axis, shift in pairs:
        amount = value_of(shift, call.name)
        if amount.is_array or amount.dtype[0] not in "iu":
            raise NotLifted("np.roll by anything but an integer")
        value = _rolled(call.builder, value, axis_of(axis, len(value.shape)), amount)
    return value


def _rolled(builder: Builder, value: Value, axis: int, shift: Value) -> Value:
    extent = value.shape[axis]
    by = _within(builder, builder.size(shift.scalar), extent)
    rest = affine.minus(extent, by)
    rolled = builder.allocate(builder.hint, value.dtype, value.shape)
    builder.fill(stretch(rolled, axis, by, rest), stretch(value, axis, affine.ZERO, rest))
    builder.fill(stretch(rolled, axis, affine.ZERO, by), stretch(value, axis, rest, by))
    return Value(rolled.dtype, rolled.shape, rolled.at, storage=rolled.storage)


def _within(builder: Builder, shift: Affine, extent: Affine) -> Affine:
    """The shift as a number from 0 to the extent."""
    for candidate in (shift, affine.plus(extent, shift)):
        rest = affine.minus(extent, candidate)
        if builder.bounds.nonnegative(candidate) and builder.bounds.nonnegative(rest):
            return candidate
    length = integer(Op.MAXIMUM, Position(extent), Constant(1, "int64"))
    name = builder.size(integer(Op.REMAINDER, Position(shift), length), "shift")
    for part in name.names:
        builder.bounds.add_lower(part, 0)
    return name


def stretch(value: Value, axis: int, start: Affine, length: Affine) -> Value:
    """A stretch along one axis, as a view."""
    shape = (*value.shape[:axis], length, *value.shape[axis + 1 :])

    def at(indices: Indices) -> Expression:
        known = as_affine(indices[axis])
        moved: Expression = (
            integer(Op.ADD, indices[axis], Position(start))
            if known is None
            else Position(affine.plus(known, start))
        )
        return value.at((*indices[:axis], moved, *indices[axis + 1 :]))

    return Value(value.dtype, shape, at, storage=value.storage)


# --- Joining ------------------------------------------------------------------------------------


def _concatenate(call: Call) -> Lifted:
    given = call.bound("arrays", "axis")
    parts = _parts(call, given["arrays"])
    return joined(call.builder, parts, axis_of(given.get("axis", literal(0)), len(parts[0].shape)))


def _stacked(call: Call) -> Lifted:
    """`hstack`, `vstack`, `column_stack` and `stack`."""
    given = call.bound("arrays", "axis")
    parts = _parts(call, given["arrays"])
    rank = len(parts[0].shape)
    if call.name == "stack":
        axis = axis_of(given.get("axis", literal(0)), rank + 1)
        items = [None if k == axis else _ALL for k in range(rank + 1)]
        parts = [subscript(call.builder, p, items) for p in parts]
        return joined(call.builder, parts, axis)
    if "axis" in given:
        raise NotLifted(f"np.{call.name} with an axis")
    if call.name == "vstack" and rank == 1:
        parts = [subscript(call.builder, p, [None, _ALL]) for p in parts]
    if call.name == "column_stack" and rank == 1:
        parts = [subscript(call.builder, p, [_ALL, None]) for p in parts]
    by_rows = call.name == "vstack" or (call.name == "hstack" and rank == 1)
    return joined(call.builder, parts, 0 if by_rows else 1)


def _parts(call: Call, arrays: Lifted) -> list[Value]:
    if not isinstance(arrays, tuple) or not arrays:
        raise NotLifted(f"np.{call.name} of anything but a tuple of arrays")
    parts = [value_of(a, call.name) for a in arrays]
    if len({len(p.shape) for p in parts}) > 1 or not parts[0].shape:
        raise NotLifted(f"np.{call.name} of arrays that differ in their number of axes")
    return parts


def joined(builder: Builder, parts: list[Value], axis: int) -> Value:
    """Arrays one after the other along an axis."""
    others = {(*p.shape[:axis], *p.shape[axis + 1 :]) for p in parts}
    if len(others) > 1:
        raise NotLifted("joined arrays whose other extents are not known to be equal")
    dtype, _ = result_type(lambda *samples: np.concatenate(samples, axis=axis), *parts)
    starts = [affine.ZERO]
    for p in parts:
        starts.append(affine.plus(starts[-1], builder.extent(p.shape[axis])))
    shape = (*parts[0].shape[:axis], starts[-1], *parts[0].shape[axis + 1 :])
    target = builder.allocate(builder.hint, dtype, shape)
    for part, start in zip(parts, starts, strict=False):
        block = stretch(target, axis, start, part.shape[axis])
        builder.fill(block, Value(dtype, part.shape, lambda i, p=part: cast(p.at(i), dtype)))  # type: ignore[misc]
    return target


# --- Parts and repetitions ----------------------------------------------------------------------


def _triangle(call: Call) -> Lifted:
    """`np.tril` and `np.triu`: zero beyond a diagonal."""
    given = call.bound("m", "k")
    value = value_of(given["m"], call.name)
    if len(value.shape) != 2:
        raise NotLifted(f"np.{call.name} of anything but a matrix")
    offset = Constant(literal_of(given.get("k", literal(0)), "a diagonal"), "int64")
    keeps = Op.LESS_EQUAL if call.name == "tril" else Op.GREATER_EQUAL
    zero = cast(Constant(0, "int64"), value.dtype)

    def at(indices: Indices) -> Expression:
        inside = truth(keeps, indices[1], integer(Op.ADD, indices[0], offset))
        return Apply(Op.WHERE, (inside, value.at(indices), zero), value.dtype)

    return Value(value.dtype, value.shape, at)


def diagonal(builder: Builder, value: Value) -> Value:
    """The main diagonal, as a view."""
    if len(value.shape) != 2:
        raise NotLifted("the diagonal of anything but a matrix")
    rows, columns = value.shape
    length = rows
    if rows != columns:
        length = builder.size(integer(Op.MINIMUM, Position(rows), Position(columns)))
    return Value(value.dtype, (length,), lambda i: value.at((i[0], i[0])), storage=value.storage)


def _diagonal(call: Call) -> Lifted:
    value = call.only(1)[0]
    if call.name != "diagonal" and len(value.shape) == 1:
        return _diagonal_matrix(value)
    if call.name == "diagflat":
        raise NotLifted("np.diagflat of anything but a vector")
    return diagonal(call.builder, value)


def _diagonal_matrix(value: Value) -> Value:
    zero = cast(Constant(0, "int64"), value.dtype)

    def at(indices: Indices) -> Expression:
        here = truth(Op.EQUAL, indices[0], indices[1])
        return Apply(Op.WHERE, (here, value.at(indices[:1]), zero), value.dtype)

    return Value(value.dtype, (value.shape[0], value.shape[0]), at)


def _broadcast_to(call: Call) -> Lifted:
    given = call.bound("array", "shape")
    value = value_of(given["array"], call.name)
    shape = shape_of(call.builder, given["shape"])
    rank = len(value.shape)
    fits = rank <= len(shape) and all(
        n in (affine.ONE, m) for n, m in zip(value.shape, shape[len(shape) - rank :], strict=True)
    )
    if not fits:
        raise NotLifted("np.broadcast_to a shape that is not known to fit")
    return Value(value.dtype, shape, lambda i: element(value, i), storage=value.storage)


def size(builder: Builder, value: Value) -> Value:
    """The number of elements."""
    return product_of(builder, value.shape)


def length(builder: Builder, value: Value) -> Value:
    """The first extent, as `len` gives it."""
    if not value.shape:
        raise NotLifted("the length of a scalar")
    return position(builder.extent(value.shape[0]))


HANDLERS: dict[str, Handler] = {
    "transpose": _transpose,
    "swapaxes": _swapaxes,
    "moveaxis": _moveaxis,
    "reshape": _reshape,
    "ravel": _ravel,
    "flatten": _ravel,
    "expand_dims": _expand_dims,
    "squeeze": _squeeze,
    "flip": _flip,
    "flipud": _flip,
    "fliplr": _flip,
    "roll": _roll,
    "concatenate": _concatenate,
    "hstack": _stacked,
    "vstack": _stacked,
    "stack": _stacked,
    "column_stack": _stacked,
    "tril": _triangle,
    "triu": _triangle,
    "diag": _diagonal,
    "diagflat": _diagonal,
    "diagonal": _diagonal,
    "broadcast_to": _broadcast_to,
}
