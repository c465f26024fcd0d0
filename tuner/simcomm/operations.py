"""MPI's reduction operations, on packed elements and on objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from random import Random
from typing import Any

import numpy as np

from outpace.tuner.simcomm.buffers import Elements
from outpace.tuner.simcomm.datatypes import NAMED
from outpace.tuner.simcomm.unsupported import Partial

OnElements = Callable[[Elements, Elements], Elements]
OnObjects = Callable[[Any, Any], Any]


class Op(Partial):
    """How two values become one.

    Attributes:
        name: As MPI has it; `user` for one of the program's own.
        is_commutative: Whether values may be combined in any order.
    """

    def __init__(
        self,
        name: str,
        on_elements: OnElements,
        on_objects: OnObjects,
        kinds: str = "",
        *,
        commutative: bool = True,
    ) -> None:
        self.name = name
        self.is_commutative = commutative
        self._on_elements = on_elements
        self._on_objects = on_objects
        self._kinds = kinds

    def __repr__(self) -> str:
        return f"MPI.{self.name}"

    def __call__(self, x: Any, y: Any) -> Any:
        return self._on_objects(x, y)

    @property
    def is_predefined(self) -> bool:
        return self.name != "user"

    def Is_commutative(self) -> bool:
        return self.is_commutative

    def Is_predefined(self) -> bool:
        return self.is_predefined

    def Free(self) -> None:
        """Nothing is held."""

    @classmethod
    def Create(cls, function: Callable[..., Any], commute: bool = False) -> Op:
        """An operation of the program's own: `function(inmem, inoutmem, datatype)`."""

        def on_elements(x: Elements, y: Elements) -> Elements:
            result = y.copy()
            datatype = next(t for t in NAMED.values() if t.base == y.dtype)
            function(x.view(np.uint8).data, result.view(np.uint8).data, datatype)
            return result

        return cls("user", on_elements, lambda x, y: function(x, y, None), commutative=commute)

    def allows(self, elements: Elements) -> bool:
        """Whether it is defined for elements of this type."""
        return not self._kinds or elements.dtype.kind in self._kinds

    def fold(self, values: Sequence[Elements], random: Random | None = None) -> Elements:
        """Combine packed elements, in an order drawn where it may be any.

        Args:
            values: One array per rank, all of one length and type.
            random: None to keep the order of the ranks.
        """
        with np.errstate(all="ignore"):
            folded: Elements = reduce(self._on_elements, self._ordered(values, random)).copy()
            return folded

    def fold_objects(self, values: Sequence[Any], random: Random | None = None) -> Any:
        """The same for objects."""
        return reduce(self._on_objects, self._ordered(values, random))

    def _ordered(self, values: Sequence[Any], random: Random | None) -> Sequence[Any]:
        if random is None or not self.is_commutative:
            return values
        return random.sample(values, len(values))


def _logical(function: Callable[[Any, Any], Any]) -> tuple[OnElements, OnObjects]:
    """A truth value of two, as a number of the elements' type."""
    return (
        lambda x, y: function(x != 0, y != 0).astype(x.dtype),
        lambda x, y: function(bool(x), bool(y)),
    )


def _best(better: Callable[[Any, Any], Any]) -> tuple[OnElements, OnObjects]:
    """Of two pairs of value and index the better value, of equal ones the lower index."""

    def on_elements(x: Elements, y: Elements) -> Elements:
        first = better(x["value"], y["value"])
        first |= (x["value"] == y["value"]) & (x["index"] < y["index"])
        return np.where(first, x, y)

    def on_objects(x: Any, y: Any) -> Any:
        (a, i), (b, j) = x, y
        if a == b:
            return a, min(i, j)
        return x if better(a, b) else y

    return on_elements, on_objects


def _same(function: Callable[[Any, Any], Any]) -> tuple[OnElements, OnObjects]:
    return function, function


_NUMBERS, _REALS, _WHOLE, _BITS, _PAIRS = "iufc", "iuf", "iub", "iu", "V"

OPERATIONS = {
    op.name: op
    for op in (
        Op("SUM", np.add, lambda x, y: x + y, _NUMBERS),
        Op("PROD", np.multiply, lambda x, y: x * y, _NUMBERS),
        Op("MAX", np.maximum, max, _REALS),
        Op("MIN", np.minimum, min, _REALS),
        Op("LAND", *_logical(lambda x, y: x & y), _WHOLE),
        Op("LOR", *_logical(lambda x, y: x | y), _WHOLE),
        Op("LXOR", *_logical(lambda x, y: x ^ y), _WHOLE),
        Op("BAND", *_same(lambda x, y: x & y), _BITS),
        Op("BOR", *_same(lambda x, y: x | y), _BITS),
        Op("BXOR", *_same(lambda x, y: x ^ y), _BITS),
        Op("MAXLOC", *_best(lambda x, y: x > y), _PAIRS),
        Op("MINLOC", *_best(lambda x, y: x < y), _PAIRS),
    )
}
"""Every predefined operation by its name."""
