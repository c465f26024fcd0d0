"""Products of matrices, vectors and tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Apply, Expression, Library, Op, Operand, Position, Reduction
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.calls import (
    Call,
    Handler,
    axis_of,
    literal_of,
    product_of,
    value_of,
)
from outpace.codegen.nests.lifting.elementwise import elementwise
from outpace.codegen.nests.lifting.shaping import exchanged, joined, reshaped
from outpace.codegen.nests.lifting.values import (
    Indices,
    Lifted,
    Value,
    as_affine,
    broadcast,
    cast,
    element,
    literal,
    result_type,
    stored,
)
from outpace.errors import NotLifted

SMALL = 16
"""An extent up to which a matrix product is better written as loops."""


def product(builder: Builder, left: Value, right: Value) -> Value:
    """`left @ right`."""
    if not left.shape or not right.shape:
        raise NotLifted("a matrix product with a scalar")
    if len(left.shape) > 2 and len(right.shape) > 2:
        return _batched(builder, left, right)
    return _contracted(builder, left, right)


def _contracted(builder: Builder, left: Value, right: Value) -> Value:
    """A sum over the last axis on the left and the last but one on the right."""
    axis = max(len(right.shape) - 2, 0)
    _check_inner(left.shape[-1], right.shape[axis])
    dtype = _dtype(left, right)
    called = _by_library(builder, left, right, dtype)
    if called is not None:
        return called
    outer = (*left.shape[:-1], *right.shape[:axis], *right.shape[axis + 1 :])
    rank = len(left.shape) - 1

    def at(indices: Indices) -> Expression:
        rest, inner = indices[rank:-1], indices[-1]
        factors = (
            cast(left.at((*indices[:rank], inner)), dtype),
            cast(right.at((*rest[:axis], inner, *rest[axis:])), dtype),
        )
        return Apply(Op.MULTIPLY, factors, dtype)

    terms = Value(dtype, (*outer, left.shape[-1]), at)
    return builder.reduced(Reduction.SUM, terms, (len(outer),), dtype, keepdims=False)


def _batched(builder: Builder, left: Value, right: Value) -> Value:
    """Matrix products over leading axes that broadcast."""
    _check_inner(left.shape[-1], right.shape[-2])
    dtype = _dtype(left, right)
    batch = broadcast(left.shape[:-2], right.shape[:-2])
    shape = (*batch, left.shape[-2], right.shape[-1], left.shape[-1])

    def at(indices: Indices) -> Expression:
        lead, (row, column, inner) = indices[:-3], indices[-3:]
        factors = (
            cast(element(left, (*lead, row, inner)), dtype),
            cast(element(right, (*lead, inner, column)), dtype),
        )
        return Apply(Op.MULTIPLY, factors, dtype)

    terms = Value(dtype, shape, at)
    return builder.reduced(Reduction.SUM, terms, (len(shape) - 1,), dtype, keepdims=False)


def _check_inner(left: Affine, right: Affine) -> None:
    if left != right:
        raise NotLifted("the inner extents of a matrix product are not known to be equal")


def _dtype(left: Value, right: Value) -> str:
    dtype, _ = result_type(np.multiply, left, right)
    if dtype == "bool":
        raise NotLifted("a matrix product of bools")
    return dtype


# --- Library calls ------------------------------------------------------------------------------


def _by_library(builder: Builder, left: Value, right: Value, dtype: str) -> Value | None:
    """The product of two large matrices by NumPy's BLAS, outside of loops."""
    extents = (*left.shape, *right.shape)
    large = all(n.terms or n.constant > SMALL for n in extents if n != affine.ONE)
    if not builder.library or not builder.at_top or not large or dtype[0] not in "fc":
        return None
    if len(left.shape) < 2 or len(right.shape) != 2 or {left.dtype, right.dtype} != {dtype}:
        return None
    shape = (*left.shape[:-1], right.shape[-1])
    if len(left.shape) > 2:
        rows = as_affine(product_of(builder, left.shape[:-1]).scalar)
        assert rows is not None
        left = reshaped(builder, left, (rows, left.shape[-1]))
    operands = (_operand(builder, left), _operand(builder, right))
    flat = builder.allocate(builder.hint, dtype, (left.shape[0], right.shape[1]))
    assert flat.storage is not None
    builder.emit(Library(flat.storage, "matmul", operands))
    return flat if flat.shape == shape else reshaped(builder, flat, shape)


def _operand(builder: Builder, value: Value) -> Operand:
    """A matrix as a library takes it; copied where it is neither an array nor its transpose."""
    if builder.is_whole(value):
        assert value.storage is not None
        return Operand(value.storage)
    turned = Value(
        value.dtype, value.shape[::-1], lambda i: value.at(i[::-1]), storage=value.storage
    )
    if builder.is_whole(turned):
        assert turned.storage is not None
        return Operand(turned.storage, transposed=True)
    copy = builder.materialised(value, "factor")
    assert copy.storage is not None
    return Operand(copy.storage)


def called(builder: Builder, function: str, shape: tuple[Affine, ...], *values: Value) -> Value:
    """The result of a library function of whole arrays, in memory of its own."""
    whole = [v if builder.is_whole(v) else builder.materialised(v, "given") for v in values]
    names = [v.storage for v in whole]
    dtype, _ = result_type(_linear_algebra(function), *values)
    target = builder.allocate(builder.hint, dtype, shape)
    assert target.storage is not None
    operands = tuple(Operand(n) for n in names if n is not None)
    builder.emit(Library(target.storage, function, operands))
    return stored(target.storage, dtype, shape)


def _linear_algebra(function: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(np.linalg, function.removeprefix("linalg."))
    return found


# --- Functions ----------------------------------------------------------------------------------


def _matmul(call: Call) -> Lifted:
    return product(call.builder, *call.only(2))


def _dot(call: Call) -> Lifted:
    left, right = call.only(2)
    if not left.shape or not right.shape:
        return elementwise(Op.MULTIPLY, np.multiply, left, right)
    if len(right.shape) > 2:
        raise NotLifted("np.dot with this number of axes")
    return _contracted(call.builder, left, right)


def _vdot(call: Call) -> Lifted:
    """A product of vectors; the first one is conjugated."""
    left, right = call.only(2)
    if len(left.shape) != 1 or len(right.shape) != 1:
        raise NotLifted(f"np.{call.name} of anything but two vectors")
    if call.name == "vdot" and left.dtype[0] == "c":
        left = elementwise(Op.CONJUGATE, np.conjugate, left)
    return _contracted(call.builder, left, right)


def _tensordot(call: Call) -> Lifted:
    given = call.bound("a", "b", "axes")
    left, right = (value_of(given[k], call.name) for k in "ab")
    axes: Lifted = given.get("axes", literal(2))
    if isinstance(axes, tuple) and len(axes) == 2:
        first, second = (_listed_axes(a, v) for a, v in zip(axes, (left, right), strict=True))
    else:
        count = literal_of(axes, "the axes of np.tensordot")
        first = tuple(range(len(left.shape) - count, len(left.shape)))
        second = tuple(range(count))
    if len(first) != len(second) or min((*first, 0)) < 0 or max((*second, 0)) > len(right.shape):
        raise NotLifted("np.tensordot with axes that do not fit")
    rest = [
        [k for k in range(len(v.shape)) if k not in taken]
        for v, taken in ((left, first), (right, second))
    ]
    left = exchanged(left, (*rest[0], *first))
    right = exchanged(right, (*second, *rest[1]))
    if len(first) == 1 and len(right.shape) <= 2:
        return _contracted(call.builder, left, right)
    return _summed_over(call.builder, left, right, len(first))


def _listed_axes(axes: Lifted, value: Value) -> tuple[int, ...]:
    """One axis or several, in the order given."""
    parts = axes if isinstance(axes, tuple) else (axes,)
    return tuple(axis_of(part, len(value.shape)) for part in parts)


def _summed_over(builder: Builder, left: Value, right: Value, count: int) -> Value:
    """A sum over the last axes on the left and as many first ones on the right."""
    kept = len(left.shape) - count
    for a, b in zip(left.shape[kept:], right.shape[:count], strict=True):
        _check_inner(a, b)
    dtype = _dtype(left, right)
    shape = (*left.shape[:kept], *right.shape[count:], *left.shape[kept:])

    def at(indices: Indices) -> Expression:
        inner = indices[len(shape) - count :]
        factors = (
            cast(left.at((*indices[:kept], *inner)), dtype),
            cast(right.at((*inner, *indices[kept : len(shape) - count])), dtype),
        )
        return Apply(Op.MULTIPLY, factors, dtype)

    terms = Value(dtype, shape, at)
    if not count:
        return terms
    axes = tuple(range(len(shape) - count, len(shape)))
    return builder.reduced(Reduction.SUM, terms, axes, dtype, keepdims=False)


def outer(op: Op, function: Callable[..., Any], left: Value, right: Value) -> Value:
    """`ufunc.outer`: every element on the left with every one on the right."""
    rank = len(right.shape)
    shape = (*left.shape, *(affine.ONE for _ in range(rank)))

    def at(indices: Indices) -> Expression:
        return left.at(indices[: len(left.shape)])

    column = Value(left.dtype, shape, at, left.weak and not shape)
    return elementwise(op, function, column, right)


def _cross(call: Call) -> Lifted:
    """Cross products of vectors of three elements along the last axis."""
    left, right = call.only(2)
    three = affine.constant(3)
    if not left.shape or not right.shape or {left.shape[-1], right.shape[-1]} != {three}:
        raise NotLifted("np.cross of anything but vectors of three elements")

    def times(k: int, first: Value, second: Value) -> Value:
        items = (_component(first, (k + 1) % 3), _component(second, (k + 2) % 3))
        return elementwise(Op.MULTIPLY, np.multiply, *items)

    parts = [
        elementwise(Op.SUBTRACT, np.subtract, times(k, left, right), times(k, right, left))
        for k in range(3)
    ]
    return joined(call.builder, [_as_last(part) for part in parts], len(parts[0].shape))


def _component(value: Value, place: int) -> Value:
    """One element along the last axis."""
    where = Position(affine.constant(place))
    return Value(value.dtype, value.shape[:-1], lambda i: value.at((*i, where)))


def _as_last(value: Value) -> Value:
    """With one more axis of extent 1 at the end."""
    return Value(value.dtype, (*value.shape, affine.ONE), lambda i: value.at(i[:-1]))


def _outer(call: Call) -> Lifted:
    left, right = call.only(2)
    if len(left.shape) != 1 or len(right.shape) != 1:
        raise NotLifted("np.outer of anything but two vectors")
    return outer(Op.MULTIPLY, np.multiply, left, right)


def _einsum(call: Call) -> Lifted:
    """A sum of products over the labels that the result lacks."""
    labels, *given = call.arguments
    if not isinstance(labels, str) or set(call.keywords) - {"optimize"} or "." in labels:
        raise NotLifted("np.einsum with these options")
    values = [value_of(a, call.name) for a in given]
    left, arrow, result = labels.replace(" ", "").partition("->")
    groups = left.split(",")
    if not arrow:
        result = "".join(sorted(c for c in set(left) if c.isalpha() and left.count(c) == 1))
    extents = _labelled(groups, values)
    if len(set(result)) < len(result) or set(result) - set(extents):
        raise NotLifted(f"np.einsum of {labels!r}")
    dtype = values[0].dtype
    for value in values[1:]:
        dtype = _dtype(Value(dtype, values[0].shape, values[0].at), value)
    summed = "".join(sorted(set(extents) - set(result)))
    order = result + summed

    def at(indices: Indices) -> Expression:
        place = dict(zip(order, indices, strict=True))
        term: Expression | None = None
        for group, value in zip(groups, values, strict=True):
            factor = cast(value.at(tuple(place[c] for c in group)), dtype)
            term = factor if term is None else Apply(Op.MULTIPLY, (term, factor), dtype)
        assert term is not None
        return term

    terms = Value(dtype, tuple(extents[c] for c in order), at)
    if not summed and len(values) == 1:
        return replace(terms, storage=values[0].storage)  # NumPy gives a view
    if not summed:
        return terms
    axes = tuple(range(len(result), len(order)))
    return call.builder.reduced(Reduction.SUM, terms, axes, dtype, keepdims=False)


def _labelled(groups: list[str], values: list[Value]) -> Mapping[str, Affine]:
    """The extent of every label."""
    if len(groups) != len(values) or any(
        len(g) != len(v.shape) for g, v in zip(groups, values, strict=False)
    ):
        raise NotLifted("np.einsum whose labels do not fit its arrays")
    extents: dict[str, Affine] = {}
    for group, value in zip(groups, values, strict=True):
        for label, extent in zip(group, value.shape, strict=True):
            if extents.setdefault(label, extent) != extent:
                raise NotLifted("np.einsum of extents that are not known to be equal")
    return extents


def _solve(call: Call) -> Lifted:
    """Functions of square matrices that stay calls of the library."""
    values = call.only(2 if call.name == "linalg.solve" else 1)
    matrix = values[0]
    if not call.builder.library:
        raise NotLifted(f"a call of numpy.{call.name}, which stays a library call")
    square = len(matrix.shape) == 2 and matrix.shape[0] == matrix.shape[1]
    if not square or any(
        len(v.shape) not in (1, 2) or v.shape[0] != matrix.shape[0] for v in values
    ):
        raise NotLifted(f"np.{call.name} of anything but a square matrix")
    if any(v.dtype[0] not in "fc" for v in values):
        raise NotLifted(f"np.{call.name} of integers")
    return called(call.builder, call.name, values[-1].shape, *values)


HANDLERS: dict[str, Handler] = {
    "matmul": _matmul,
    "dot": _dot,
    "inner": _vdot,
    "vdot": _vdot,
    "tensordot": _tensordot,
    "outer": _outer,
    "cross": _cross,
    "einsum": _einsum,
    "linalg.solve": _solve,
    "linalg.inv": _solve,
    "linalg.cholesky": _solve,
}
