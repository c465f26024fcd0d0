"""Whether two accesses to arrays can touch the same element."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.bounds import Bounds
from outpace.codegen.nests.ir import Expression, Load, Position, Reshape, Statement, Store

Indices = tuple[Expression, ...]


def never_meet(a: Indices, b: Indices, moving: Collection[str], bounds: Bounds | None) -> bool:
    """Whether two index tuples differ for all values of the names in `moving`.

    Proved by one axis on which neither moves and both differ.
    """
    for left, right in zip(a, b, strict=True):
        if not isinstance(left, Position) or not isinstance(right, Position):
            continue
        if set(left.value.names) & set(moving) or set(right.value.names) & set(moving):
            continue
        gap = affine.minus(left.value, right.value)
        if not gap.terms and gap.constant:
            return True
        if bounds is not None and any(
            bounds.nonnegative(affine.plus(affine.times(gap, sign), affine.constant(-1)))
            for sign in (1, -1)
        ):
            return True
    return False


def meet_at_one_point(a: Indices, b: Indices, moving: Iterable[str], others: set[str]) -> bool:
    """Whether equal elements imply equal values of every name in `moving`.

    So it is where each of them alone decides an axis, and in the same way in both accesses.

    Args:
        a: An index tuple.
        b: Another one, of the same array.
        moving: Names of common indices.
        others: Further names that take many values, such as those of inner ranges.
    """
    if len(a) != len(b):
        return False

    def decided(name: str) -> bool:
        return any(
            isinstance(left, Position)
            and left == right
            and affine.factor_of(left.value, name) != 0
            and not (set(left.value.names) - {name}) & (set(moving) | others)
            for left, right in zip(a, b, strict=True)
        )

    moving = list(moving)
    return all(decided(name) for name in moving)


def meet_within_points(
    first: Iterable[Load | Store],
    second: Collection[Load | Store],
    moving: Collection[str],
    others: set[str],
    same: Mapping[str, str],
) -> bool:
    """Whether what one of two groups writes, the other touches at equal values of `moving` alone.

    Args:
        first: Accesses.
        second: Others, or the same ones again.
        moving: Names of common indices.
        others: Further names that take many values, such as those of inner ranges.
        same: As of `aliases`.
    """
    for a in first:
        for b in second:
            if isinstance(a, Load) and isinstance(b, Load):
                continue
            if same.get(a.array, a.array) != same.get(b.array, b.array):
                continue
            if a.array != b.array or not meet_at_one_point(a.indices, b.indices, moving, others):
                return False
    return True


def aliases(body: Iterable[Statement]) -> Mapping[str, str]:
    """For every array that is a reshaped one, the array whose memory it is."""
    found: dict[str, str] = {}
    for statement in walk.statements(body):
        if isinstance(statement, Reshape):
            found[statement.array.name] = found.get(statement.base, statement.base)
    return found
