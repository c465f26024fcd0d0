"""A call of a library function while it is lifted, and how its arguments are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import mul
from typing import Any

import numpy as np

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Apply, Constant, Expression, Op, Position
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.values import DType, Lifted, Value, as_affine, position
from outpace.errors import NotLifted


@dataclass(frozen=True)
class Call:
    """A call of a function with its lifted arguments.

    Attributes:
        builder: Where statements that it needs go.
        name: What the source calls.
        arguments: By position; the array itself comes first for a method.
        keywords: By name.
    """

    builder: Builder
    name: str
    arguments: tuple[Lifted, ...]
    keywords: Mapping[str, Lifted]

    def bound(self, *names: str) -> dict[str, Lifted]:
        """Arguments by the names of the first parameters.

        Raises:
            NotLifted: There is one that is not among these.
        """
        given = dict(zip(names, self.arguments, strict=False)) | dict(self.keywords)
        unknown = sorted(set(given) - set(names))
        if unknown or len(self.arguments) > len(names):
            raise NotLifted(f"{self.name} with {', '.join(unknown) or 'so many arguments'}")
        return given

    def only(self, count: int) -> tuple[Value, ...]:
        """Exactly so many arguments, all numbers or arrays, and no options."""
        if self.keywords or len(self.arguments) != count:
            raise NotLifted(f"{self.name} with options")
        return tuple(value_of(a, self.name) for a in self.arguments)


Handler = Callable[[Call], Lifted]


def value_of(lifted: Lifted, name: str) -> Value:
    """A number or an array."""
    if isinstance(lifted, Value):
        return lifted
    raise NotLifted(f"{name} of something that is neither a number nor an array")


def literal_of(lifted: Lifted, what: str) -> int:
    """An integer that is known while lifting."""
    known = as_affine(lifted.scalar) if isinstance(lifted, Value) and not lifted.shape else None
    if known is None or known.terms:
        raise NotLifted(f"{what} that is not a literal")
    return known.constant


def axes_of(axis: Lifted, rank: int) -> tuple[int, ...]:
    """Axes, sorted; all of them for None."""
    if axis is None:
        return tuple(range(rank))
    found = []
    for part in axis if isinstance(axis, tuple) else (axis,):
        number = literal_of(part, "an axis")
        if not -rank <= number < rank:
            raise NotLifted(f"axis {number} of an array of {rank} axes")
        found.append(number % rank)
    if len(set(found)) < len(found):
        raise NotLifted("an axis given twice")
    return tuple(sorted(found))


def axis_of(axis: Lifted, rank: int) -> int:
    """One axis."""
    return axes_of((axis,), rank)[0]


def flag_of(value: Lifted | bool) -> bool:
    """A truth value that is known while lifting."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Value) and not value.shape and isinstance(value.scalar, Constant):
        return bool(value.scalar.value)
    raise NotLifted("an option that is not a literal")


def dtype_of(lifted: Lifted, default: str) -> str:
    """A dtype given as one, by its name, or not at all."""
    if lifted is None:
        return default
    if isinstance(lifted, DType):
        return lifted.name
    if isinstance(lifted, str):
        try:
            return np.dtype(lifted).name
        except TypeError as error:
            raise NotLifted(f"the dtype {lifted!r}") from error
    raise NotLifted("a dtype that is not known before it runs")


def shape_of(builder: Builder, source: Lifted) -> tuple[Affine, ...]:
    """A shape given as an integer or a tuple of them."""
    extents = []
    for part in source if isinstance(source, tuple) else (source,):
        value = value_of(part, "shape")
        if value.is_array or value.dtype[0] not in "iu":
            raise NotLifted("a shape that is not made of integers")
        extents.append(builder.size(value.scalar))
    return tuple(extents)


def product_of(builder: Builder, extents: tuple[Affine, ...]) -> Value:
    """The product of extents as a Python int."""
    extents = tuple(builder.extent(n) for n in extents)
    known = [n.constant for n in extents if not n.terms]
    symbolic = [n for n in extents if n.terms]
    if len(symbolic) <= 1:
        whole = affine.times(symbolic[0] if symbolic else affine.ONE, reduce(mul, known, 1))
        return position(whole)
    factors: list[Expression] = [Position(n) for n in extents]
    return position(builder.size(reduce(lambda a, b: integer(Op.MULTIPLY, a, b), factors)))


def integer(op: Op, *operands: Expression) -> Expression:
    """An integer operation."""
    return Apply(op, operands, "int64")


def truth(op: Op, *operands: Expression) -> Expression:
    """A comparison of integers, or a logical operation."""
    return Apply(op, operands, "bool")


def of_numpy(name: str) -> Callable[..., Any]:
    """The function itself, to ask it for dtypes."""
    found: Callable[..., Any] = getattr(np, name)
    return found
