"""Store a value into an array, as NumPy does: all of the value is computed first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.ir import Constant, Load, Loop, Op, Position
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.elementwise import elementwise
from outpace.codegen.nests.lifting.indexing import Item, subscript
from outpace.codegen.nests.lifting.scopes import converted_to, stretched
from outpace.codegen.nests.lifting.values import (
    Value,
    broadcast,
    element,
    position,
    scalar_value,
)
from outpace.errors import NotLifted


def store(builder: Builder, target: Value, value: Value) -> None:
    """`target[...] = value`, through a temporary where the two may overlap.

    Raises:
        NotLifted: The target must not be written, or the value is not known to fit.
    """
    check_target(builder, target)
    if np.dtype(value.dtype).kind == "c" and np.dtype(target.dtype).kind != "c":
        raise NotLifted("it stores complex values into a real array")
    value = _without_unit_axes(value, len(target.shape))
    if broadcast(target.shape, value.shape) != target.shape:
        raise NotLifted("an assigned value with more axes than its target")
    value = converted_to(value, target.dtype)
    if target.is_array and _overlaps(builder, target, value):
        if value.is_array:
            value = builder.materialised(stretched(value, target.shape), "copy")
        else:
            value = scalar_value(builder.named(value.scalar, "copy"))
    builder.fill(target, value)


def scatter(
    builder: Builder, base: Value, items: Sequence[Item], value: Value, op: Op | None = None
) -> None:
    """`base[items] = value` through a vector of indices, or `np.add.at` and its like.

    Args:
        builder: Takes the loop, which goes through the indices in order.
        base: The array that is written.
        items: One integer or vector of integers for each of the first axes.
        value: A row for all, or one for each.
        op: What combines what is there with a value; None to replace it.

    Raises:
        NotLifted: The indices are no vectors of one length.
    """
    vectors = [i for i in items if isinstance(i, Value) and i.is_array]
    lengths = {v.shape for v in vectors}
    whole = all(isinstance(i, Value) and i.dtype[0] in "iu" for i in items)
    if not whole or len(lengths) != 1 or len(vectors[0].shape) != 1:
        raise NotLifted("an assignment through indices that are no vectors of one length")
    (length,) = lengths.pop()
    own = [_apart(builder, base, i) if isinstance(i, Value) else i for i in items]
    row = len(base.shape) - len(items)
    value = _apart(builder, base, value)
    several = len(value.shape) > row
    if several and (len(value.shape) > row + 1 or value.shape[0] not in (length, affine.ONE)):
        raise NotLifted("an assignment through indices from an array of another length")
    index = builder.fresh("k")
    stop = builder.extent(length)
    builder.bounds.add_loop(index, affine.ZERO, affine.minus(stop, affine.ONE))
    at = position(affine.symbol(index))
    with builder.block() as block:
        places = [
            subscript(builder, i, [at]) if isinstance(i, Value) and i.is_array else i for i in own
        ]
        part = subscript(builder, base, places)
        first = at if several and value.shape[0] == length else position(affine.ZERO)
        content = subscript(builder, value, [first]) if several else value
        if op is not None:
            content = elementwise(op, getattr(np, op.value), part, content)
        store(builder, part, content)
    builder.emit(
        Loop(index, Constant(0, "int64"), Position(stop), Constant(1, "int64"), tuple(block))
    )


def _apart(builder: Builder, base: Value, value: Value) -> Value:
    """The value as it is before anything is written into an array."""
    if not value.is_array:
        return scalar_value(builder.named(value.scalar, "item"), weak=value.weak)
    shared = (
        value.storage
        and base.storage
        and (builder.memory(value.storage) == builder.memory(base.storage))
    )
    return builder.materialised(value, "items") if shared or not value.storage else value


def check_target(builder: Builder, target: Value) -> None:
    """Whether an array may be written.

    Raises:
        NotLifted: It may not.
    """
    if target.storage is None:
        raise NotLifted("an assignment through an index array, or into a copy")
    if builder.is_constant(target.storage):
        raise NotLifted(f"it writes into {target.storage}, which `mutates` does not name")
    if target.storage in builder.uncertain:
        raise NotLifted("an assignment into what may be a view or a copy")
    if not isinstance(target.at(_here(target)), Load):
        raise NotLifted("an assignment to a part of complex numbers")


def _without_unit_axes(value: Value, rank: int) -> Value:
    """Leading axes of extent 1 do not matter."""
    extra = len(value.shape) - rank
    if extra <= 0 or any(n != affine.ONE for n in value.shape[:extra]):
        return value
    zeros = (Position(affine.ZERO),) * extra
    shape = value.shape[extra:]
    return Value(value.dtype, shape, lambda i: value.at((*zeros, *i)), storage=value.storage)


def _here(value: Value) -> tuple[Position, ...]:
    return tuple(Position(affine.symbol(f"?{k}")) for k in range(len(value.shape)))


def _overlaps(builder: Builder, target: Value, value: Value) -> bool:
    """Whether some element may be read after it was written."""
    here = _here(target)
    names = [n for h in here for n in h.value.names]
    place = target.at(here)
    assert isinstance(place, Load)
    memory = builder.memory(place.array)
    for part in walk.expressions(element(value, here)):
        if not isinstance(part, Load) or builder.memory(part.array) != memory:
            continue
        if part.array != place.array:
            return True
        harmless = part.indices == place.indices and all(
            any(isinstance(i, Position) and n in i.value.names for i in place.indices)
            for n in names
        )
        apart = dependence.never_meet(part.indices, place.indices, names, builder.bounds)
        if not harmless and not apart:
            return True
    return False
