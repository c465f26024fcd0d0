"""What a Python expression of a reference stands for while it is lifted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from outpace.codegen.dims import Affine
from outpace.codegen.nests.affine import constant
from outpace.codegen.nests.ir import Cast, Constant, Expression, Load, Position
from outpace.errors import NotLifted

Indices = tuple[Expression, ...]


Kind = tuple[str, bool]
"""Dtype of a scalar, and whether it is a Python number, which does not take part in promotion."""


@dataclass(frozen=True)
class Value:
    """A scalar or a lazily evaluated array.

    Attributes:
        dtype: NumPy dtype; of Python scalars bool, int64, float64 or complex128.
        shape: One extent per axis, `()` for scalars.
        at: The element at some indices.
        weak: Whether it is a Python scalar, which does not take part in promotion.
        storage: The array of which this is (a view of) the contents, None for a fresh value.
        kinds: The types that a scalar may have when it runs, where they are several.
    """

    dtype: str
    shape: tuple[Affine, ...]
    at: Callable[[Indices], Expression]
    weak: bool = False
    storage: str | None = None
    kinds: frozenset[Kind] = frozenset()

    @property
    def scalar(self) -> Expression:
        """The element of a scalar."""
        return self.at(())

    @property
    def fresh(self) -> Value:
        """The same elements as a new array, where this may be a view."""
        return replace(self, storage=None)

    @property
    def is_array(self) -> bool:
        """Whether it has axes."""
        return bool(self.shape)

    @property
    def possible(self) -> frozenset[Kind]:
        """The types that it may have when it runs."""
        return self.kinds or frozenset({(self.dtype, self.weak)})


@dataclass(frozen=True)
class Selection:
    """The elements that a mask selects, `source[mask]`, whose number depends on the data.

    Attributes:
        source: All elements.
        mask: Which of them are selected; of the shape of the first axes.
    """

    source: Value
    mask: Value


@dataclass(frozen=True)
class DType:
    """A dtype as a value: `x.dtype`, `np.float32`.

    Attributes:
        name: Its name in NumPy.
        builtin: Whether it is a type of Python, which as a function makes Python numbers.
    """

    name: str
    builtin: bool = False


@dataclass(frozen=True)
class NamedFunction:
    """A function of a captured module, or a method bound to a value."""

    module: str
    name: str
    owner: Value | Selection | None = None


Lifted = Value | Selection | DType | NamedFunction | tuple[Any, ...] | str | None
"""A value, or something known while lifting; tuples hold these."""

_WEAK_DTYPES = {bool: "bool", int: "int64", float: "float64", complex: "complex128"}


def scalar_value(e: Expression, *, weak: bool = False) -> Value:
    """A scalar that is this expression."""
    return Value(e.dtype, (), lambda _: e, weak)


def literal(value: complex) -> Value:
    """A Python number."""
    return scalar_value(Constant(value, _WEAK_DTYPES[type(value)]), weak=True)


def position(value: Affine) -> Value:
    """A Python int that is affine in sizes and loop variables."""
    if not value.terms:
        return literal(value.constant)
    return scalar_value(Position(value), weak=True)


def as_affine(e: Expression) -> Affine | None:
    """The affine form of an integer expression, if it has one."""
    match e:
        case Position(value=value):
            return value
        case Constant(value=int(value)) if not isinstance(value, bool):
            return constant(value)
        case _:
            return None


def cast(e: Expression, dtype: str) -> Expression:
    """The expression in another dtype; literals are converted here and now."""
    if e.dtype == dtype:
        return e
    if np.dtype(e.dtype).kind == "c" and np.dtype(dtype).kind != "c":
        raise NotLifted(f"a cast from {e.dtype} to {dtype} discards the imaginary part")
    if isinstance(e, Constant):
        try:
            return Constant(np.dtype(dtype).type(e.value).item(), dtype)
        except (OverflowError, ValueError) as error:
            raise NotLifted(f"{e.value!r} is no {dtype}: {error}") from error
    return Cast(e, dtype)


def result_type(function: Callable[..., Any], *values: Value) -> Kind:
    """Dtype of `function(*values)` and whether it is a Python scalar.

    Raises:
        NotLifted: NumPy refuses these types, or it depends on which of its types a variable has.
    """
    kinds = possible_types(function, *values)
    if len(kinds) > 1:
        names = " or ".join(sorted({dtype for dtype, _ in kinds}))
        raise NotLifted(f"a result that is {names}, as the values of variables decide")
    return next(iter(kinds))


def possible_types(function: Callable[..., Any], *values: Value) -> frozenset[Kind]:
    """All types that `function(*values)` may have.

    Raises:
        NotLifted: NumPy refuses these types.
    """
    variants = (
        [replace(v, dtype=dtype, weak=weak, kinds=frozenset()) for dtype, weak in sorted(v.kinds)]
        if v.kinds
        else [v]
        for v in values
    )
    return frozenset(_result_type(function, *chosen) for chosen in product(*variants))


def _result_type(function: Callable[..., Any], *values: Value) -> Kind:
    """The installed NumPy decides: the function is applied to one sample of each value.

    The promotion of scalars changed with NumPy 2.
    """
    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        _refuse_value_based(values)
    try:
        with np.errstate(all="ignore"):
            result = function(*(_sample(v) for v in values))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise NotLifted(f"NumPy refuses this: {error}") from error
    if type(result) in _WEAK_DTYPES:
        return _WEAK_DTYPES[type(result)], True
    return np.asarray(result).dtype.name, False


def _sample(v: Value) -> Any:
    kind = np.dtype(v.dtype)
    if v.weak:
        known = v.scalar
        return known.value if isinstance(known, Constant) else kind.type(1).item()
    return np.ones((1,) * len(v.shape), kind) if v.shape else kind.type(1)


def _refuse_value_based(values: tuple[Value, ...]) -> None:
    """NumPy 1 looks at the value of an int to choose a dtype; refuse where it is not known."""
    unknown = any(v.weak and v.dtype == "int64" and not _is_literal(v) for v in values)
    if unknown and any(v.shape and v.dtype in _NARROW_INTS for v in values):
        raise NotLifted("NumPy 1 promotes this narrow integer array by the value of a scalar")


_NARROW_INTS = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64")


def _is_literal(v: Value) -> bool:
    return isinstance(v.scalar, Constant)


def broadcast(*shapes: tuple[Affine, ...]) -> tuple[Affine, ...]:
    """The shape of an elementwise operation.

    Raises:
        NotLifted: Two extents are neither equal for all sizes nor one of them literally 1.
    """
    rank = max(len(s) for s in shapes)
    one = constant(1)
    result = []
    for axis in range(rank):
        extents = {s[axis - rank + len(s)] for s in shapes if axis - rank + len(s) >= 0} - {one}
        if len(extents) > 1:
            raise NotLifted("two extents are not known to be equal, so it may broadcast or fail")
        result.append(extents.pop() if extents else one)
    return tuple(result)


def element(v: Value, indices: Indices) -> Expression:
    """The element that broadcasting puts at these indices."""
    rank = len(v.shape)
    own = indices[len(indices) - rank :] if rank else ()
    zero = Position(constant(0))
    one = constant(1)
    return v.at(tuple(zero if n == one else i for n, i in zip(v.shape, own, strict=True)))


def stored(array: str, dtype: str, shape: tuple[Affine, ...]) -> Value:
    """The whole of an array."""
    return Value(dtype, shape, lambda i: Load(array, i, dtype), storage=array)


def joined_kind(kinds: frozenset[Kind]) -> Kind:
    """One type that holds the values of all these exactly.

    Raises:
        NotLifted: There is none, or arithmetic in it would not wrap around as in the others.
    """
    if len(kinds) == 1:
        return next(iter(kinds))
    dtypes = {dtype for dtype, _ in kinds}
    weak = all(weak for _, weak in kinds)
    if len(dtypes) > 1 and dtypes & _WRAPPING:
        raise NotLifted(f"a variable that is {' or '.join(sorted(dtypes))}")
    return np.result_type(*dtypes).name, weak


_WRAPPING = {"bool", "int8", "int16", "uint8", "uint16", "uint32", "uint64"}
"""Dtypes that no other one can stand for."""
