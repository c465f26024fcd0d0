"""Counting and drawing of points without enumerating them, by eliminating variables.

Each constraint is a table of zeros and ones over its own parameters. Parameters are eliminated one
by one: the tables that contain one are multiplied and summed over it, which leaves a table that
counts its completions. Drawn in the opposite order, each with probability proportional to the
number of its completions, the parameters form a point that is uniform over all valid ones (Dechter,
"Bucket elimination", Artificial Intelligence 113, 1999). Constraints whose tables would be too
large are left out, and points that break them are drawn again, which keeps the rest uniform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from outpace.codegen.constraints import Constraint
from outpace.codegen.expressions import Array
from outpace.errors import UsageError
from outpace.tuner.joining import index_dtype

CLIQUE_MOST = 1 << 21
"""Entries of the largest table, 8 bytes each."""
ACCEPTED_LEAST = 1e-4
"""Share of drawn points that must satisfy the constraints left out; otherwise drawing gives up."""
DRAWN_MOST = 1 << 16
"""Points drawn at a time."""


@dataclass(frozen=True)
class _Choice:
    """How one parameter is drawn, given those of its table that are drawn before it.

    Attributes:
        parameter: Its position.
        given: Positions of the others.
        cumulative: Completions summed over its values, one row for each combination of the others.
    """

    parameter: int
    given: tuple[int, ...]
    cumulative: Array


class PointCounter:
    """The valid points of a space, counted and drawn.

    Args:
        counts: Number of values of each parameter.
        constraints: All must hold.

    Attributes:
        exact: Whether no constraint had to be left out.
        total: Number of points that satisfy the others; infinite beyond the range of floats.
    """

    def __init__(self, counts: Sequence[int], constraints: Sequence[Constraint]) -> None:
        self._counts = tuple(counts)
        order, used = _elimination_order(counts, constraints)
        self._left_out = [c for c in constraints if c not in used]
        self.exact = not self._left_out
        self._choices: list[_Choice] = []
        self.total = self._eliminate(order, used)

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Points drawn uniformly over the valid ones, with replacement, (count, P) value indices.

        Raises:
            UsageError: There is no valid point, or too few to find them by drawing.
        """
        kept: list[Array] = []
        found, drawn = 0, 0
        while found < count:
            points = self._draw(rng, min(DRAWN_MOST, max(64, drawn, 2 * (count - found))))
            drawn += len(points)
            for constraint in self._left_out:
                points = points[constraint.holds_for(points)]
            kept.append(points)
            found += len(points)
            if drawn >= 10 / ACCEPTED_LEAST and found < ACCEPTED_LEAST * drawn:
                raise UsageError(
                    f"only {found} of {drawn} drawn combinations satisfy "
                    f"{' and '.join(repr(c.expression.text) for c in self._left_out)}; give the "
                    "parameters fewer values, or split the constraint into smaller ones"
                )
        return np.concatenate(kept)[:count] if kept else self._empty(0)

    def _empty(self, count: int) -> Array:
        return np.zeros((count, len(self._counts)), index_dtype(self._counts))

    def _eliminate(self, order: Sequence[int], used: Sequence[Constraint]) -> float:
        """Fill the choices, in the order of drawing; the number of points."""
        factors = [(c.scope, np.asarray(c.table, dtype=np.float64)) for c in used]
        total = 1.0
        for parameter in order:
            mine = [f for f in factors if parameter in f[0]]
            factors = [f for f in factors if parameter not in f[0]]
            given = tuple(sorted({p for scope, _ in mine for p in scope} - {parameter}))
            scope = (*given, parameter)
            table = np.ones([self._counts[p] for p in scope])
            for its_scope, factor in mine:
                table *= _aligned(factor, its_scope, scope)
            message = table.sum(axis=-1)
            # Scaled, so that counts beyond the range of floats keep their proportions.
            largest = float(message.max())
            if largest == 0.0:
                self._choices = []
                return 0.0
            total *= largest
            factors.append((given, message / largest))
            rows = table.reshape(-1, self._counts[parameter])
            self._choices.insert(0, _Choice(parameter, given, rows.cumsum(axis=1)))
        return total * float(prod(float(factor) for _, factor in factors))

    def _draw(self, rng: np.random.Generator, count: int) -> Array:
        """Points that satisfy all constraints but those left out."""
        if self.total == 0:
            raise UsageError("no combination of the parameters' values satisfies the constraints")
        points = self._empty(count)
        for choice in self._choices:
            row = np.zeros(count, np.intp)
            for p in choice.given:
                row = row * self._counts[p] + points[:, p]
            cumulative = choice.cumulative[row]
            # In (0, total]: a value without completions, where the sum does not rise, is never hit.
            level = (1.0 - rng.random(count)) * cumulative[:, -1]
            points[:, choice.parameter] = (cumulative < level[:, None]).sum(axis=1)
        return points


def _aligned(factor: Array, scope: Sequence[int], onto: Sequence[int]) -> Array:
    """A factor with its axes in the order of a larger scope, and axes of one entry for the rest."""
    axes = [scope.index(p) for p in onto if p in scope]
    shape = [factor.shape[scope.index(p)] if p in scope else 1 for p in onto]
    return factor.transpose(axes).reshape(shape)


def _elimination_order(
    counts: Sequence[int], constraints: Sequence[Constraint]
) -> tuple[list[int], list[Constraint]]:
    """An order in which no table is too large, and the constraints with which it is so."""
    used = sorted((c for c in constraints if c.table is not None), key=lambda c: c.combinations)
    while True:
        order, largest = _smallest_first(counts, [set(c.scope) for c in used])
        if largest <= CLIQUE_MOST or not used:
            return order, used
        used.pop()


def _smallest_first(counts: Sequence[int], scopes: list[set[int]]) -> tuple[list[int], int]:
    """Eliminate what makes the smallest table, again and again; the order and the largest table."""
    order: list[int] = []
    remaining = set(range(len(counts)))
    largest = 0

    def clique(parameter: int) -> set[int]:
        return {parameter}.union(*(s for s in scopes if parameter in s))

    def entries(parameter: int) -> tuple[int, int]:
        return prod(counts[p] for p in clique(parameter)), parameter

    while remaining:
        chosen = min(remaining, key=entries)
        table = clique(chosen)
        largest = max(largest, prod(counts[p] for p in table))
        scopes = [s for s in scopes if chosen not in s] + [table - {chosen}]
        order.append(chosen)
        remaining.remove(chosen)
    return order, largest
