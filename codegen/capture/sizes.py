"""Naming the dims of arrays from the extents that they had in recorded calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from outpace.codegen.capture.reading import Obstacle

Extents = tuple[int, ...]
"""One axis in every recorded call."""

_NAMES = ("n", "m", "k", "p", "q", "r", "s", "h", "w")
_FARTHEST = 8
"""Largest constant in a proposed `n+1`."""
_FARTHEST_ONCE = 2
"""The same where one size was seen: larger differences may be chance."""
_LITERAL = 16
"""Largest extent that is written as a number because it never varied while others did."""
_LITERAL_ONCE = 4
"""The same where one size was seen: components of vectors, corners of a cell."""
_TELLING = 16
"""An int argument that equals an extent in the only size seen is taken for it from here on."""


@dataclass(frozen=True)
class Named:
    """Dims of everything.

    Attributes:
        inputs: Axis expressions by array parameter.
        outputs: Axis expressions by output; empty for a scalar.
        notes: Sentences about what was guessed.
    """

    inputs: dict[str, tuple[str, ...]]
    outputs: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def name_dims(
    calls: Sequence[tuple[Mapping[str, Any], Sequence[Any]]], reserved: Sequence[str]
) -> Named:
    """Name dims so that they hold in all calls.

    Axes of the same extents get the same name, or the int argument that has them; axes that differ
    by a small constant get an affine expression. A name that ties two axes by chance costs
    generality alone: calls where they differ run the reference.

    Args:
        calls: For each call its inputs by name and its outputs in order.
        reserved: Names that no dim may have.

    Raises:
        Obstacle: Ranks differ between calls, or an output's extent follows from no argument.
    """
    inputs, outputs = calls[0]
    axes = {n: _axes(f"`{n}`", [c[0][n] for c in calls]) for n, v in inputs.items() if _is_array(v)}
    results = [
        _axes(f"result {i}", [c[1][i] for c in calls]) if _is_array(v) else []
        for i, v in enumerate(outputs)
    ]
    integers = {n: tuple(int(c[0][n]) for c in calls) for n, v in inputs.items() if _is_int(v)}
    free = list(dict.fromkeys(extents for array in axes.values() for extents in array))
    varied = any(len(set(extents)) > 1 for extents in free)
    naming = _Naming(varied, integers, [*reserved, *inputs])
    for extents in sorted(free, key=lambda e: (free.index(_family(e, free, naming.farthest)), e)):
        naming.give(extents)
    hint = (
        "one size was seen: dims that are alike only there have one name; rename them where they "
        "are meant to differ, or run with another size too"
    )
    return Named(
        {n: tuple(naming.of(e) for e in array) for n, array in axes.items()},
        tuple(tuple(naming.of_output(i, e) for e in array) for i, array in enumerate(results)),
        () if varied else (hint,),
    )


class _Naming:
    """Expressions by extents."""

    def __init__(
        self, varied: bool, integers: Mapping[str, Extents], reserved: Sequence[str]
    ) -> None:
        self.farthest = _FARTHEST if varied else _FARTHEST_ONCE
        self._varied = varied
        self._integers = integers
        self._found: dict[Extents, str] = {}
        self._bases: dict[str, Extents] = {}
        self._spare = [n for n in (*_NAMES, *(f"n{i}" for i in range(100))) if n not in reserved]

    def give(self, extents: Extents) -> None:
        """Find the expression of an input's axis; families come smallest first."""
        if self._is_literal(extents):
            self._found[extents] = str(extents[0])
            return
        known = self._argument(extents) or self._from_bases(extents)
        if known is None:
            known = self._spare.pop(0)
            self._bases[known] = extents
        self._found[extents] = known

    def of(self, extents: Extents) -> str:
        """The expression of an input's axis."""
        return self._found[extents]

    def of_output(self, position: int, extents: Extents) -> str:
        """The expression of a result's axis.

        Raises:
            Obstacle: There is none.
        """
        found = self._found.get(extents) or self._argument(extents) or self._from_bases(extents)
        found = found or self._expression(extents, self._integers)
        if found is None and len(set(extents)) == 1 and (self._varied or extents[0] <= _LITERAL):
            found = str(extents[0])
        if found is None:
            raise Obstacle(
                f"an extent of result {position} ({extents[0]}) follows from no argument; "
                "pass it as an int argument"
            )
        return found

    def _is_literal(self, extents: Extents) -> bool:
        most = _LITERAL if self._varied else _LITERAL_ONCE
        return len(set(extents)) == 1 and extents[0] <= most

    def _argument(self, extents: Extents) -> str | None:
        """An int argument that has these values."""
        telling = len(set(extents)) > 1 or extents[0] >= _TELLING
        same = [name for name, values in self._integers.items() if values == extents]
        if same and telling:
            self._bases[same[0]] = extents
            return same[0]
        return None

    def _from_bases(self, extents: Extents) -> str | None:
        return self._expression(extents, self._bases)

    def _expression(self, extents: Extents, bases: Mapping[str, Extents]) -> str | None:
        for name, base in bases.items():
            distance = _distance(extents, base)
            if distance is not None and abs(distance) <= self.farthest:
                return f"{name}{distance:+d}" if distance else name
        return None


def _family(extents: Extents, free: Sequence[Extents], farthest: int) -> Extents:
    """The first axis from which these extents differ by a small constant."""
    for other in free:
        distance = _distance(extents, other)
        if distance is not None and abs(distance) <= farthest:
            return other
    return extents


def _distance(extents: Extents, base: Extents) -> int | None:
    """The constant difference, or None."""
    distances = {a - b for a, b in zip(extents, base, strict=True)}
    return distances.pop() if len(distances) == 1 else None


def _axes(name: str, values: Sequence[Any]) -> list[Extents]:
    if len({np.ndim(v) for v in values}) > 1:
        raise Obstacle(
            f"{name} has {' or '.join(map(str, sorted({np.ndim(v) for v in values})))} dims "
            "by turns; write one function for each"
        )
    return [tuple(extents) for extents in zip(*(np.shape(v) for v in values), strict=True)]


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _is_int(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
