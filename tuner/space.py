"""Search spaces: typed parameters, constraints over them, and the points that satisfy all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import combinations
from math import prod

import numpy as np

from outpace.codegen.constraints import constraints_of
from outpace.codegen.expressions import Array
from outpace.errors import DraftError, UsageError
from outpace.model import Parameter, Scalar
from outpace.tuner.counting import PointCounter
from outpace.tuner.joining import decoded, index_dtype, joined, strides_of

__all__ = ["Array", "Point", "SearchSpace"]

Point = tuple[int, ...]
"""One index into each parameter's values."""

JOINED_DIRECTLY = 8
"""Spaces of up to this many times the points to enumerate are joined without a count before."""
LARGEST_CODE = 2**62
"""Combinations of a space whose points can be numbered."""


class SearchSpace:
    """The valid combinations of some parameters' values.

    A parameter with a condition (`Parameter.when`) keeps its first value where that does not hold,
    so it does not multiply the space then.

    Args:
        parameters: With the values they may take.
        constraints: Python expressions over the parameters' names; all must hold.
        points: Exactly these, as far as they satisfy the constraints, instead of all; (n, P) value
            indices in any order.
        enumerate_at_most: Spaces with more valid points are sampled without being enumerated.

    Raises:
        DraftError: A parameter has no values, a name stands twice, or a constraint is malformed.

    Attributes:
        parameters: As given.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        constraints: Sequence[str] = (),
        *,
        points: Array | None = None,
        enumerate_at_most: int = 20_000_000,
    ) -> None:
        self.parameters = tuple(parameters)
        self._positions = {p.name: i for i, p in enumerate(self.parameters)}
        self._counts = tuple(len(p.values) for p in self.parameters)
        if len(self._positions) < len(self.parameters):
            raise DraftError(f"a parameter's name stands twice: {[p.name for p in parameters]}")
        if 0 in self._counts:
            raise DraftError(f"parameter {parameters[self._counts.index(0)].name!r} has no values")
        self._constraints = constraints_of(parameters, constraints)
        self._conditions = [c for c in self._constraints if c.idle is not None]
        self._counter: PointCounter | None = None
        self._codes = (
            self._enumerated(enumerate_at_most) if points is None else self._listed(points)
        )

    def __repr__(self) -> str:
        size = "not enumerated" if self.size is None else f"{self.size} points"
        return f"<SearchSpace of {len(self.parameters)} parameters, {size}>"

    @property
    def size(self) -> int | None:
        """Number of valid points; None where they are not enumerated."""
        return None if self._codes is None else len(self._codes)

    @cached_property
    def points(self) -> Array | None:
        """All valid points, (size, P) value indices in lexicographic order, read-only.

        None where they are not enumerated.
        """
        if self._codes is None:
            return None
        points = decoded(self._codes, self._counts)
        points.flags.writeable = False
        return points

    # --- points and values --------------------------------------------------------------------

    def is_valid(self, point: Point) -> bool:
        """Whether a point satisfies every constraint."""
        return bool(self.are_valid(np.array([point], dtype=np.int64))[0])

    def are_valid(self, points: Array) -> Array:
        """Which of these points, (n, P) value indices, are in the space; (n,) booleans."""
        points = np.asarray(points)
        valid = self._satisfy(points)
        if self._codes is not None:
            valid[valid] = self._found(self._codes, self._codes_of(points[valid]))[1]
        return valid

    def bind(self, point: Point) -> dict[str, Scalar]:
        """The values at a point by name."""
        return {p.name: p.values[i] for p, i in zip(self.parameters, point, strict=True)}

    def point_of(self, params: Mapping[str, Scalar]) -> Point:
        """The point with these values, which need not be valid.

        Raises:
            UsageError: A parameter is missing or unknown, or has no such value.
        """
        unknown = [name for name in params if name not in self._positions]
        missing = [name for name in self._positions if name not in params]
        if unknown or missing:
            what = f"no value for {missing[0]!r}" if missing else f"no parameter {unknown[0]!r}"
            raise UsageError(f"{what}; the parameters are {', '.join(self._positions)}")
        for parameter in self.parameters:
            if params[parameter.name] not in parameter.values:
                raise UsageError(
                    f"{parameter.name} has no value {params[parameter.name]!r}; "
                    f"there are {', '.join(map(repr, parameter.values))}"
                )
        return tuple(p.values.index(params[p.name]) for p in self.parameters)

    def row_of(self, point: Point) -> int:
        """Where a point stands in `points`; KeyError when it is not valid."""
        return int(self.rows_of(np.array([point], dtype=np.int64))[0])

    def rows_of(self, points: Array) -> Array:
        """Where each of these points, (n, P) value indices, stands in `points`; (n,) integers.

        Raises:
            KeyError: One of them is not valid.
            ValueError: The space is not enumerated.
        """
        if self._codes is None:
            raise ValueError("a space that is not enumerated has no rows")
        points = np.asarray(points)
        rows, found = self._found(self._codes, self._codes_of(points))
        if not found.all():
            raise KeyError(tuple(points[int(np.argmin(found))].tolist()))
        return rows

    # --- many points --------------------------------------------------------------------------

    def sample(self, rng: np.random.Generator, count: int) -> Array:
        """Points drawn uniformly over the valid ones, with replacement, (count, P) value indices.

        Raises:
            UsageError: There is no valid point, or too few to find them without enumerating.
        """
        if self._counter is not None:
            return self._counter.draw(rng, count)
        assert self._codes is not None
        if not len(self._codes):
            raise UsageError("no combination of the parameters' values satisfies the constraints")
        return decoded(self._codes[rng.integers(len(self._codes), size=count)], self._counts)

    def neighbours(self, point: Point, *, distance: int = 1, adjacent: bool = False) -> Array:
        """Valid points that differ from a valid one in `distance` parameters, (n, P) value indices.

        A parameter that ceases to matter goes back to its first value without being counted.

        Args:
            point: A valid point.
            distance: How many parameters differ, at least 1.
            adjacent: Only values that stand next to the point's own in the parameter's list.
        """
        here = np.array(point, dtype=index_dtype(self._counts))
        others = [_other_values(i, n, adjacent) for i, n in zip(point, self._counts, strict=True)]
        movable = [p for p, values in enumerate(others) if len(values)]
        blocks = []
        for moved in combinations(movable, distance):
            values = np.meshgrid(*(others[p] for p in moved), indexing="ij")
            block = np.tile(here, (values[0].size, 1))
            for p, column in zip(moved, values, strict=True):
                block[:, p] = column.ravel()
            blocks.append(block)
        candidates = np.concatenate(blocks) if blocks else here[None, :][:0]
        if self._conditions:
            candidates = self._settled(candidates)
            candidates = candidates[(candidates != here).any(axis=1)]
        return np.asarray(candidates[self.are_valid(candidates)])

    def _settled(self, points: Array) -> Array:
        """Points with every parameter that does not matter at its first value, each once."""
        points = points.copy()
        for _ in self._conditions:  # one may switch off another; no chain is longer than this
            for condition in self._conditions:
                points[~condition.holds_for(points), condition.idle] = 0
        return np.unique(points, axis=0)

    # --- construction -------------------------------------------------------------------------

    def _enumerated(self, most: int) -> Array | None:
        """Codes of all valid points, or None, and a counter, where there are too many."""
        total = prod(self._counts)
        counter, hopeless = None, False
        if total > JOINED_DIRECTLY * most:
            counter = PointCounter(self._counts, self._constraints)
            hopeless = total >= LARGEST_CODE or (counter.exact and counter.total > most)
        codes = None if hopeless else joined(self._counts, self._constraints, most)
        if codes is None:
            self._counter = counter or PointCounter(self._counts, self._constraints)
        return codes

    def _listed(self, points: Array) -> Array:
        """Codes of the points that were given, as far as they are valid."""
        if prod(self._counts) >= LARGEST_CODE:
            raise DraftError("the parameters have more than 2**62 combinations to tell apart")
        if points.shape[1:] != (len(self._counts),):
            raise ValueError(f"points must be (n, {len(self._counts)}) indices: {points.shape}")
        valid = self._satisfy(points)
        return np.unique(self._codes_of(points[valid]))

    def _satisfy(self, points: Array) -> Array:
        """Which points are within range and satisfy the constraints, (n,) booleans."""
        valid = np.asarray(((points >= 0) & (points < np.array(self._counts))).all(axis=1))
        for constraint in self._constraints:
            valid[valid] = constraint.holds_for(points[valid])
        return valid

    def _codes_of(self, points: Array) -> Array:
        codes = np.zeros(len(points), np.int64)
        for position, stride in enumerate(strides_of(self._counts)):
            codes += points[:, position].astype(np.int64) * stride
        return codes

    @staticmethod
    def _found(codes: Array, sought: Array) -> tuple[Array, Array]:
        """Rows of these codes among those of all points, and whether each is there."""
        rows = np.asarray(np.searchsorted(codes, sought))
        found = np.zeros(len(sought), np.bool_)
        inside = rows < len(codes)
        found[inside] = codes[rows[inside]] == sought[inside]
        return rows, found


def _other_values(index: int, count: int, adjacent: bool) -> Array:
    values = np.arange(count)
    chosen = np.abs(values - index) == 1 if adjacent else values != index
    return np.asarray(values[chosen])
