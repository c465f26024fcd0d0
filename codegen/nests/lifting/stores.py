"""Store a value into an array, as NumPy does: all of the value is computed first."""

from __future__ import annotations

import numpy as np

from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.ir import Load, Position
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.scopes import converted_to, stretched
from outpace.codegen.nests.lifting.values import Value, broadcast, element, scalar_value
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
