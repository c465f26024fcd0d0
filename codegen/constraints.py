"""Constraints on value indices: what limits a search space, in the form in which it is searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from outpace.codegen.expressions import Array, Column, Expression, parse
from outpace.errors import DraftError
from outpace.model import Parameter

TABLE_MOST = 1 << 20
"""Combinations of a constraint's own parameters up to which it is tabulated, one byte each."""


@dataclass(frozen=True, eq=False)
class Constraint:
    """A condition on the values of some parameters.

    Attributes:
        expression: What must hold.
        scope: Positions of the parameters that matter, ascending.
        counts: How many values each of them has.
        idle: Position of the parameter that must keep its first value where the expression does not
            hold; None for a plain constraint.
    """

    expression: Expression
    scope: tuple[int, ...]
    counts: tuple[int, ...]
    idle: int | None
    _columns: dict[int, tuple[str, Column]]

    @property
    def combinations(self) -> int:
        """Number of combinations of its parameters' values."""
        return prod(self.counts)

    def holds_at(self, indices: Sequence[Array]) -> Array:
        """Where it holds.

        Args:
            indices: Value indices of the parameters in its scope; shapes broadcast.

        Returns:
            Booleans of the shape to which these broadcast.
        """
        at = dict(zip(self.scope, indices, strict=True))
        columns = {name: column.at(at[i]) for i, (name, column) in self._columns.items()}
        holds = self.expression.holds_at(columns)
        if self.idle is not None:
            holds = holds | (at[self.idle] == 0)
        return np.broadcast_to(holds, np.broadcast_shapes(*(i.shape for i in indices)))

    @cached_property
    def table(self) -> Array | None:
        """Where it holds for all combinations, one axis a parameter; None if these are too many."""
        if self.combinations > TABLE_MOST:
            return None
        return np.ascontiguousarray(self.holds_at(np.ix_(*(np.arange(n) for n in self.counts))))

    def holds_for(self, points: Array) -> Array:
        """Which of these points satisfy it; (n, P) value indices to (n,) booleans."""
        indices = [points[:, position] for position in self.scope]
        if self.table is None:
            return self.holds_at(indices)
        return np.asarray(self.table[tuple(indices)])

    def check(self) -> None:
        """Raise DraftError if the expression cannot be evaluated whatever the values are."""
        self.holds_at([np.zeros(1, np.intp) for _ in self.scope])


def constraints_of(
    parameters: Sequence[Parameter], constraints: Sequence[str]
) -> tuple[Constraint, ...]:
    """Bind constraints, and the conditions of conditional parameters, to parameters by name.

    Raises:
        DraftError: A name is no parameter, or an expression is malformed; the message names it.
    """
    bound = [_bind(parameters, text, None) for text in constraints]
    bound += [
        _bind(parameters, parameter.when, position)
        for position, parameter in enumerate(parameters)
        if parameter.when is not None
    ]
    return tuple(bound)


def _bind(parameters: Sequence[Parameter], text: str, idle: int | None) -> Constraint:
    what = "constraint" if idle is None else f"the condition of {parameters[idle].name!r},"
    try:
        return _bound(parameters, parse(text), idle)
    except DraftError as error:
        raise DraftError(f"{what} {error}") from error


def _bound(parameters: Sequence[Parameter], expression: Expression, idle: int | None) -> Constraint:
    positions = {parameter.name: i for i, parameter in enumerate(parameters)}
    unknown = [name for name in expression.names if name not in positions]
    if unknown:
        raise DraftError(
            f"{expression.text!r} names {unknown[0]!r}, which is no parameter; "
            f"there are {', '.join(positions) or 'none'}"
        )
    if not expression.names:
        raise DraftError(f"{expression.text!r} names no parameter")
    named = {positions[name] for name in expression.names}
    if idle in named:
        raise DraftError(f"{expression.text!r} must not depend on the parameter itself")
    scope = tuple(sorted(named | ({idle} if idle is not None else set())))
    columns = {i: (parameters[i].name, _column(expression, parameters[i])) for i in sorted(named)}
    constraint = Constraint(
        expression, scope, tuple(len(parameters[i].values) for i in scope), idle, columns
    )
    constraint.check()
    return constraint


def _column(expression: Expression, parameter: Parameter) -> Column:
    try:
        return Column.of(parameter.values)
    except DraftError as error:
        raise DraftError(
            f"{expression.text!r} cannot use {parameter.name!r}, whose values are strings and "
            "numbers"
        ) from error
