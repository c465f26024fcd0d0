"""Arrays made from shapes, ranges and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Apply, Constant, Expression, Op, Position, Store
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.calls import (
    Call,
    Handler,
    dtype_of,
    flag_of,
    integer,
    literal_of,
    shape_of,
    truth,
    value_of,
)
from outpace.codegen.nests.lifting.elementwise import converted
from outpace.codegen.nests.lifting.indexing import Cut, Item, ceiling_of
from outpace.codegen.nests.lifting.values import (
    Indices,
    Lifted,
    Value,
    as_affine,
    cast,
    element,
    literal,
    result_type,
)
from outpace.errors import NotLifted

LARGEST_LISTING = 256
"""Elements of an array written out in the source; each becomes a store."""


def _filled(fill: int | None, *, like: bool) -> Handler:
    """`zeros`, `ones`, `empty` and their `_like` forms; None leaves the contents undefined."""

    def handle(call: Call) -> Lifted:
        given = call.bound("a" if like else "shape", "dtype")
        if like:
            source = value_of(given["a"], call.name)
            shape, default = source.shape, source.dtype
        else:
            shape, default = shape_of(call.builder, given["shape"]), "float64"
        name = dtype_of(given.get("dtype"), default)
        if fill is None and shape:
            return call.builder.allocate(call.builder.hint, name, shape)
        content = cast(Constant(fill or 0, "int64"), name)
        return Value(name, shape, lambda _: content)

    return handle


def _full(call: Call) -> Lifted:
    like = call.name == "full_like"
    given = call.bound("a" if like else "shape", "fill_value", "dtype")
    fill = value_of(given["fill_value"], call.name)
    if fill.is_array or (fill.kinds and given.get("dtype") is None):
        raise NotLifted(f"{call.name} with this value")
    if like:
        source = value_of(given["a"], call.name)
        shape, default = source.shape, source.dtype
    else:
        shape, default = shape_of(call.builder, given["shape"]), fill.dtype
    name = dtype_of(given.get("dtype"), default)
    content = cast(fill.scalar, name)
    return Value(name, shape, lambda _: content)


def _arange(call: Call) -> Lifted:
    given = dict(call.keywords)
    name = dtype_of(given.pop("dtype", None), "int64")
    ends = [value_of(a, "arange") for a in call.arguments]
    if given or not 1 <= len(ends) <= 3:
        raise NotLifted("np.arange with these options")
    if any(v.is_array or v.dtype != "int64" for v in ends):
        raise NotLifted("np.arange of anything but integers")
    step = literal_of(ends[2], "np.arange with a step") if len(ends) == 3 else 1
    if step < 1:
        raise NotLifted("np.arange with a negative step")
    size = call.builder.size
    start = affine.ZERO if len(ends) == 1 else size(ends[0].scalar)
    length = affine.minus(size(ends[0 if len(ends) == 1 else 1].scalar), start)
    if step > 1:
        length = ceiling_of(call.builder, length, step)

    def at(indices: Indices) -> Expression:
        known = as_affine(indices[0])
        if known is not None:
            return cast(Position(affine.plus(start, affine.times(known, step))), name)
        scaled = integer(Op.MULTIPLY, indices[0], Constant(step, "int64"))
        return cast(integer(Op.ADD, scaled, Position(start)), name)

    return Value(name, (length,), at)


def _linspace(call: Call) -> Lifted:
    """`start + i * step`, and exactly `stop` at the end, as NumPy computes it."""
    given = call.bound("start", "stop", "num", "endpoint", "dtype")
    ends = [value_of(given[k], call.name) for k in ("start", "stop")]
    name = dtype_of(given.get("dtype"), "float64")
    plain = all(v.dtype in ("int64", "float64") and not v.is_array for v in ends)
    if not plain or name != "float64" or not flag_of(given.get("endpoint", True)):
        raise NotLifted("np.linspace of anything but float64, with its end")
    size = call.builder.size
    count = size(value_of(given.get("num", literal(50)), call.name).scalar)
    last = Position(affine.plus(count, affine.constant(-1)))
    one = Constant(1, "int64")
    start, stop = (call.builder.named(cast(v.scalar, "float64"), "end") for v in ends)
    width = Apply(Op.SUBTRACT, (stop, start), "float64")
    parts = cast(integer(Op.MAXIMUM, last, one), "float64")
    step = call.builder.named(Apply(Op.DIVIDE, (width, parts), "float64"), "step")

    def at(indices: Indices) -> Expression:
        walked = Apply(Op.MULTIPLY, (cast(indices[0], "float64"), step), "float64")
        place = Apply(Op.ADD, (walked, start), "float64")
        at_end = truth(Op.EQUAL, indices[0], last)
        several = truth(Op.GREATER_EQUAL, last, one)
        is_last = truth(Op.LOGICAL_AND, at_end, several)
        return Apply(Op.WHERE, (is_last, stop, place), "float64")

    return Value(name, (count,), at)


def _eye(call: Call) -> Lifted:
    given = call.bound("N", "M", "k", "dtype")
    rows = shape_of(call.builder, given["N"])[0]
    columns = given.get("M")
    shape = (rows, rows if columns is None else shape_of(call.builder, columns)[0])
    offset = literal_of(given.get("k", literal(0)), "the diagonal of np.eye")
    name = dtype_of(given.get("dtype"), "float64")
    one, zero = (cast(Constant(n, "int64"), name) for n in (1, 0))

    def at(indices: Indices) -> Expression:
        moved = integer(Op.ADD, indices[0], Constant(offset, "int64"))
        return Apply(Op.WHERE, (truth(Op.EQUAL, moved, indices[1]), one, zero), name)

    return Value(name, shape, at)


def _copy(call: Call) -> Lifted:
    (value,) = call.only(1)
    return Value(value.dtype, value.shape, value.at)


def _array(call: Call) -> Lifted:
    """`np.array` of an array, or of numbers written out."""
    given = call.bound("object", "dtype", "copy")
    if not flag_of(given.get("copy", True)):
        raise NotLifted("np.array with copy=False")
    source = given["object"]
    if isinstance(source, tuple):
        source = listed(call.builder, source)
    value = value_of(source, call.name)
    name = dtype_of(given.get("dtype"), value.dtype)
    return Value(name, value.shape, lambda i: cast(value.at(i), name))


def listed(builder: Builder, rows: tuple[Lifted, ...]) -> Value:
    """An array of scalars in nested lists."""
    parts = [listed(builder, r) if isinstance(r, tuple) else value_of(r, "array") for r in rows]
    if not parts or len({p.shape for p in parts}) > 1 or any(_free(p) for p in parts):
        raise NotLifted("np.array of anything but scalars in lists of equal lengths")
    dtype, _ = result_type(lambda *samples: np.array(samples), *map(_as_scalar, parts))
    shape = (affine.constant(len(parts)), *parts[0].shape)
    total = int(np.prod([n.constant for n in shape]))
    if total > LARGEST_LISTING:
        raise NotLifted(f"np.array of {total} numbers in the source")
    target = builder.allocate(builder.hint, dtype, shape)
    for place in np.ndindex(*(n.constant for n in shape)):
        here = tuple(Position(affine.constant(k)) for k in place)
        content = cast(element(parts[place[0]], here[1:]), dtype)
        assert target.storage is not None
        builder.emit(Store(target.storage, here, content))
    return target


def _free(value: Value) -> bool:
    return any(n.terms for n in value.shape)


def _as_scalar(value: Value) -> Value:
    first = value.at(tuple(Position(affine.ZERO) for _ in value.shape))
    return Value(first.dtype, (), lambda _: first, value.weak, kinds=value.kinds)


def listed_constant(builder: Builder, array: npt.NDArray[Any]) -> Value:
    """A captured array of numbers, written out."""
    if array.size > LARGEST_LISTING or not array.shape:
        raise NotLifted(f"a captured array of {array.size} numbers")
    shape = tuple(affine.constant(n) for n in array.shape)
    target = builder.allocate("constant", array.dtype.name, shape)
    assert target.storage is not None
    for place in np.ndindex(*array.shape):
        here = tuple(Position(affine.constant(k)) for k in place)
        content = Constant(array[place].item(), array.dtype.name)
        builder.emit(Store(target.storage, here, content))
    return target


def _same(call: Call) -> Lifted:
    given = call.bound("a", "dtype")
    value = value_of(given["a"], call.name)
    if dtype_of(given.get("dtype"), value.dtype) != value.dtype:
        raise NotLifted(f"{call.name} with another dtype")
    partial = value.storage is not None and not call.builder.is_whole(value)
    if call.name == "ascontiguousarray" and partial:
        return call.builder.reshaped(value, value.shape)  # a view or a copy
    return value


def _astype(call: Call) -> Lifted:
    given = call.bound("a", "dtype", "copy")
    value = value_of(given["a"], call.name)
    if not flag_of(given.get("copy", True)):
        raise NotLifted("astype with copy=False")
    return converted(value, dtype_of(given["dtype"], value.dtype), weak=False)


def _meshgrid(call: Call) -> Lifted:
    """Two vectors as matrices."""
    given = dict(call.keywords)
    indexing = given.pop("indexing", "xy")
    vectors = [value_of(a, call.name) for a in call.arguments]
    if given or len(vectors) != 2 or any(len(v.shape) != 1 for v in vectors):
        raise NotLifted("np.meshgrid of anything but two vectors")
    first, second = vectors
    if indexing == "ij":
        shape = (first.shape[0], second.shape[0])
        axes = (0, 1)
    else:
        shape = (second.shape[0], first.shape[0])
        axes = (1, 0)
    return tuple(
        Value(v.dtype, shape, lambda i, v=v, axis=axis: v.at((i[axis],)))  # type: ignore[misc]
        for v, axis in zip(vectors, axes, strict=True)
    )


def grid(builder: Builder, name: str, items: Sequence[Item]) -> tuple[Lifted, ...]:
    """`np.mgrid[0:n, a:b]` and `np.ogrid`: indices along each axis, as integers."""
    ends: list[tuple[Affine, Affine]] = []
    for item in items:
        if not isinstance(item, Cut) or item.stop is None or item.step is not None:
            raise NotLifted(f"np.{name} of anything but ranges of integers")
        start = literal(0) if item.start is None else item.start
        if {start.dtype, item.stop.dtype} != {"int64"}:
            raise NotLifted(f"np.{name} of anything but ranges of integers")
        ends.append((builder.size(start.scalar), builder.size(item.stop.scalar)))
    full = tuple(affine.minus(stop, start) for start, stop in ends)

    def along(axis: int) -> Value:
        def at(indices: Indices) -> Expression:
            return integer(Op.ADD, indices[axis], Position(ends[axis][0]))

        one = affine.ONE
        open_shape = tuple(n if k == axis else one for k, n in enumerate(full))
        return Value("int64", full if name == "mgrid" else open_shape, at)

    if len(ends) < 2:
        raise NotLifted(f"np.{name} of one range")
    return tuple(along(axis) for axis in range(len(ends)))


HANDLERS: dict[str, Handler] = {
    "zeros": _filled(0, like=False),
    "ones": _filled(1, like=False),
    "empty": _filled(None, like=False),
    "ndarray": _filled(None, like=False),
    "zeros_like": _filled(0, like=True),
    "ones_like": _filled(1, like=True),
    "empty_like": _filled(None, like=True),
    "full": _full,
    "full_like": _full,
    "arange": _arange,
    "linspace": _linspace,
    "eye": _eye,
    "identity": _eye,
    "copy": _copy,
    "array": _array,
    "asarray": _same,
    "ascontiguousarray": _same,
    "astype": _astype,
    "meshgrid": _meshgrid,
}
