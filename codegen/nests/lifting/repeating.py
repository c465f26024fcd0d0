"""Functions that repeat elements, put margins around an array, or cut it into sections."""

from __future__ import annotations

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Constant, Expression, Op, Position
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.calls import (
    Call,
    Handler,
    axis_of,
    integer,
    literal_of,
    product_of,
    value_of,
)
from outpace.codegen.nests.lifting.shaping import stretch
from outpace.codegen.nests.lifting.values import (
    Indices,
    Lifted,
    Value,
    as_affine,
    cast,
    literal,
)
from outpace.errors import NotLifted


def _repeat(call: Call) -> Lifted:
    given = call.bound("a", "repeats", "axis")
    value = value_of(given["a"], call.name)
    repeats = value_of(given["repeats"], call.name)
    if repeats.is_array or (given.get("axis") is None and len(value.shape) != 1):
        raise NotLifted("np.repeat without an axis, or by several numbers")
    times = call.builder.size(repeats.scalar)
    axis = axis_of(given.get("axis", literal(0)), len(value.shape))
    extent = _times(call.builder, value.shape[axis], times)
    shape = (*value.shape[:axis], extent, *value.shape[axis + 1 :])

    def at(indices: Indices) -> Expression:
        source = integer(Op.FLOOR_DIVIDE, indices[axis], Position(times))
        return value.at((*indices[:axis], source, *indices[axis + 1 :]))

    return Value(value.dtype, shape, at)


def _times(builder: Builder, extent: Affine, times: Affine) -> Affine:
    """The product of two extents."""
    whole = as_affine(product_of(builder, (extent, times)).scalar)
    assert whole is not None
    return whole


def _tile(call: Call) -> Lifted:
    """The whole array, several times along each axis."""
    given = call.bound("A", "reps")
    value = value_of(given["A"], call.name)
    listed = given["reps"] if isinstance(given["reps"], tuple) else (given["reps"],)
    repeats = [call.builder.size(value_of(r, call.name).scalar) for r in listed]
    rank = max(len(repeats), len(value.shape))
    extents = (*(affine.ONE,) * (rank - len(value.shape)), *value.shape)
    repeats = [affine.ONE] * (rank - len(repeats)) + repeats
    shape = tuple(
        n if k == affine.ONE else _times(call.builder, n, k)
        for n, k in zip(extents, repeats, strict=True)
    )

    def at(indices: Indices) -> Expression:
        places = [
            i if k == affine.ONE else integer(Op.REMAINDER, i, Position(n))
            for i, n, k in zip(indices, extents, repeats, strict=True)
        ]
        return value.at(tuple(places[rank - len(value.shape) :]))

    return Value(value.dtype, shape, at)


def _split(call: Call) -> Lifted:
    """Sections of equal extents, as views."""
    given = call.bound("ary", "indices_or_sections", "axis")
    value = value_of(given["ary"], call.name)
    axis = axis_of(given.get("axis", literal(0)), len(value.shape))
    count = literal_of(given["indices_or_sections"], "a number of sections")
    length = affine.quotient(value.shape[axis], count) if count > 0 else None
    if length is None or affine.times(length, count) != value.shape[axis]:
        raise NotLifted(f"np.{call.name} into sections that are not known to be equal")
    return tuple(stretch(value, axis, affine.times(length, k), length) for k in range(count))


# --- Margins ------------------------------------------------------------------------------------


def _pad(call: Call) -> Lifted:
    """A margin of one value, or of elements of the array."""
    given = call.bound("array", "pad_width", "mode", "constant_values")
    value = value_of(given["array"], call.name)
    widths = _widths(given["pad_width"], len(value.shape))
    mode = given.get("mode", "constant")
    if mode == "constant":
        content = value_of(given.get("constant_values", literal(0)), call.name)
        if content.is_array:
            raise NotLifted("np.pad with several values")
        return _framed(call.builder, value, widths, cast(content.scalar, value.dtype))
    if mode not in _SOURCES or "constant_values" in given:
        raise NotLifted(f"np.pad with the mode {mode!r}")
    return _extended(call.builder, value, widths, str(mode))


def _framed(
    builder: Builder, value: Value, widths: list[tuple[int, int]], content: Expression
) -> Value:
    shape = _padded(builder, value, widths)
    padded = builder.materialised(Value(value.dtype, shape, lambda _: content), builder.hint)
    block = padded
    for axis, (before, _) in enumerate(widths):
        block = stretch(block, axis, affine.constant(before), value.shape[axis])
    builder.fill(block, value)
    return padded


def _extended(builder: Builder, value: Value, widths: list[tuple[int, int]], mode: str) -> Value:
    """Elements of the array around it, each from where the mode says."""

    def at(indices: Indices) -> Expression:
        places = [
            _SOURCES[mode](integer(Op.SUBTRACT, i, Constant(before, "int64")), n)
            for i, n, (before, _) in zip(indices, value.shape, widths, strict=True)
        ]
        return value.at(tuple(places))

    shape = _padded(builder, value, widths)
    return builder.materialised(Value(value.dtype, shape, at), builder.hint)


def _padded(builder: Builder, value: Value, widths: list[tuple[int, int]]) -> tuple[Affine, ...]:
    return tuple(
        affine.plus(builder.extent(n), affine.constant(a + b))
        for n, (a, b) in zip(value.shape, widths, strict=True)
    )


def _at_edge(place: Expression, extent: Affine) -> Expression:
    last = Position(affine.minus(extent, affine.ONE))
    low = integer(Op.MAXIMUM, place, Constant(0, "int64"))
    return integer(Op.MINIMUM, low, last)


def _around(place: Expression, extent: Affine) -> Expression:
    return integer(Op.REMAINDER, place, Position(extent))


def _mirrored(place: Expression, extent: Affine) -> Expression:
    """Reflected at the outermost elements, as often as it takes."""
    last = Position(affine.minus(extent, affine.ONE))
    period = integer(
        Op.MAXIMUM, integer(Op.MULTIPLY, last, Constant(2, "int64")), Constant(1, "int64")
    )
    within = integer(Op.REMAINDER, place, period)
    return integer(Op.MINIMUM, within, integer(Op.SUBTRACT, period, within))


def _doubled(place: Expression, extent: Affine) -> Expression:
    """Reflected between the outermost elements and their copies."""
    period = integer(Op.MULTIPLY, Position(extent), Constant(2, "int64"))
    within = integer(Op.REMAINDER, place, period)
    last = integer(Op.SUBTRACT, period, Constant(1, "int64"))
    return integer(Op.MINIMUM, within, integer(Op.SUBTRACT, last, within))


_SOURCES = {"edge": _at_edge, "wrap": _around, "reflect": _mirrored, "symmetric": _doubled}
"""Where the elements of a margin come from, by mode."""


def _widths(given: Lifted, rank: int) -> list[tuple[int, int]]:
    """Margins before and after each axis."""
    if isinstance(given, tuple) and given and all(isinstance(p, tuple) for p in given):
        pairs = [tuple(literal_of(n, "a margin") for n in p) for p in given]
    elif isinstance(given, tuple):
        pairs = [tuple(literal_of(n, "a margin") for n in given)]
    else:
        pairs = [(literal_of(given, "a margin"),)]
    found = [(p[0], p[-1]) for p in pairs]
    found = found * rank if len(found) == 1 else found
    if len(found) != rank or min(min(p) for p in found) < 0 or any(len(p) > 2 for p in pairs):
        raise NotLifted("np.pad with these margins")
    return found


HANDLERS: dict[str, Handler] = {
    "repeat": _repeat,
    "tile": _tile,
    "split": _split,
    "pad": _pad,
}
