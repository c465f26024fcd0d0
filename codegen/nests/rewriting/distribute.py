"""Split sequential loops over columns: what need not wait for other iterations leaves the loop.

    for k in 1, m:                               nest k < m - 1: free[k] = 1.0 / (b[k+1] + c[k+1])
        p[k] = p[k-1] * (1.0 / (b[k] + c[k]))    for k in 1, m: p[k] = p[k-1] * free[k-1]
        out[k] = 2.0 * p[k] - c[k]       ->      nest k < m - 1: out[k+1] = 2.0 * p[k+1] - c[k+1]

The nests go along the memory of a column and are vectorised, which its neighbours far away could
not be. No value is computed in another way, only at another time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Array,
    Assign,
    Cast,
    Expression,
    Load,
    Loop,
    Nest,
    Op,
    Position,
    Program,
    Range,
    Reduce,
    Statement,
    Store,
    Variable,
)
from outpace.codegen.nests.rewriting.distances import Accesses
from outpace.codegen.nests.rewriting.strips import Lanes, carried_scalars, lanes_of

Body = tuple[Statement, ...]

_LAZY = frozenset({Op.WHERE, Op.LOGICAL_AND, Op.LOGICAL_OR})
"""Operators of which only the first operand is computed in every case."""
_QUICK = frozenset({Op.ADD, Op.SUBTRACT, Op.MULTIPLY, Op.NEGATIVE, Op.ABSOLUTE})
_WORTH = 3
"""Quick operations and loads for which one load is better; a slow operation counts as so many."""


def distributed(program: Program) -> Program:
    """The program with loops split where neighbouring columns lie apart in memory."""
    aliases = dependence.aliases(program.body)
    prefix = walk.unused_prefix(program, "along")
    names = (f"{prefix}{k}" for k in count())

    def visit(s: Statement) -> Statement:
        if isinstance(s, Nest):
            return _of_nest(s, aliases, names) if lanes_of(s) is Lanes.APART else s
        return walk.with_blocks(s, lambda body: tuple(visit(part) for part in body))

    return replace(program, body=tuple(visit(s) for s in program.body))


def _of_nest(nest: Nest, aliases: Mapping[str, str], names: Iterator[str]) -> Nest:
    carried = frozenset(carried_scalars(nest.body))
    made: list[Statement] = []

    def block(body: Body, around: frozenset[str]) -> Body:
        result: list[Statement] = []
        for s in body:
            if not isinstance(s, Loop):
                result.append(s)
            elif any(isinstance(part, Loop) for part in s.body):
                result.append(replace(s, body=block(s.body, around | {s.name})))
            else:
                column = _column_of(s, around, names)
                result += _Parts(s, column, carried, aliases).split() if column else (s,)
                made.extend(Allocate(a) for a in (column.made if column else ()))
        return tuple(result)

    body = block(nest.body, frozenset())
    return replace(nest, body=(*made, *body))


# --- Iterations as points -----------------------------------------------------------------------


@dataclass
class _Column:
    """The iterations of a loop as points of a nest.

    Attributes:
        name: Of the loop variable.
        step: 1 or -1.
        lowest: Its least value.
        extent: How many iterations there are.
        names: New names.
        made: Arrays with an element for every iteration.
    """

    name: str
    step: int
    lowest: Affine
    extent: Affine
    names: Iterator[str]
    made: list[Array] = field(default_factory=list)

    def element(self, dtype: str) -> Load:
        """The element of this iteration in a new array."""
        array = Array(next(self.names), dtype, (self.extent,))
        self.made.append(array)
        index = affine.minus(affine.symbol(self.name), self.lowest)
        return Load(array.name, (Position(index),), dtype)

    def nest(self, body: list[Statement]) -> Nest:
        """Statements of one iteration, for all of them."""
        index = next(self.names)
        change = walk.substituting({self.name: affine.plus(self.lowest, affine.symbol(index))})
        return Nest((Range(index, self.extent),), walk.with_expressions(tuple(body), change))


def _column_of(loop: Loop, around: frozenset[str], names: Iterator[str]) -> _Column | None:
    """The iterations of a loop of straight code, if they are known before any loop begins."""
    start, stop, step = (walk.affine_of(e) for e in (loop.start, loop.stop, loop.step))
    if not all(isinstance(s, Store | Assign) for s in loop.body):
        return None
    if start is None or stop is None or step not in (affine.ONE, affine.constant(-1)):
        return None
    extent = affine.times(affine.minus(stop, start), step.constant)
    if set(extent.names) & around:
        return None
    lowest = start if step == affine.ONE else affine.plus(stop, affine.ONE)
    return _Column(loop.name, step.constant, lowest, extent, names)


# --- Splitting ----------------------------------------------------------------------------------


class _Parts:
    """Takes a loop apart, statement by statement.

    Args:
        loop: A loop of stores and assignments.
        column: Its iterations.
        carried: Scalars that outlive an iteration.
        aliases: As of `dependence.aliases`.
    """

    def __init__(
        self, loop: Loop, column: _Column, carried: frozenset[str], aliases: Mapping[str, str]
    ) -> None:
        self._loop = loop
        self._column = column
        self._accesses = Accesses(loop, aliases, column.step)
        self._times = Counter(s.name for s in loop.body if isinstance(s, Assign))
        self._changing = {loop.name, *self._times}
        self._single = {name for name, times in self._times.items() if times == 1} - carried
        self._before: list[Statement] = []
        self._inside: list[Statement] = []
        self._after: list[Statement] = []
        self._moved: set[int] = set()  # places of statements that are carried out before
        self._early: dict[str, Expression] = {}  # scalars that are known before
        self._weights: dict[str, int] = {}  # of their values
        self._named: dict[Expression, Variable] = {}  # values and scalars: the first so called
        self._kept: dict[Expression, Load] = {}  # what is known before, and where it is then
        self._late: dict[tuple[str, int], Load] = {}  # scalars that were assigned so often

    def split(self) -> tuple[Statement, ...]:
        """What is done before, the loop, and what is done after it; the loop if that is all."""
        for place, s in enumerate(self._loop.body):
            if isinstance(s, Assign):
                self._assign(s, place)
            elif isinstance(s, Store):
                self._store(s, place)
        if not self._before and not self._after:
            return (self._loop,)
        read = walk.scalars_read(self._before)
        before = [s for s in self._before if not isinstance(s, Assign) or s.name in read]
        return (
            *((self._column.nest(before),) if before else ()),
            *((replace(self._loop, body=tuple(self._inside)),) if self._inside else ()),
            *((self._column.nest(self._after),) if self._after else ()),
        )

    def _assign(self, s: Assign, place: int) -> None:
        if s.name in self._single and self._is_early(s.value, place):
            self._before.append(s)
            self._weights[s.name] = self._weight(s.value)
            self._early[s.name] = s.value
            own = Variable(s.name, s.value.dtype)
            self._named[own] = self._named.setdefault(self._plain(s.value), own)
            self._moved.add(place)
        else:
            self._inside.append(replace(s, value=self._in_loop(s.value, place)))

    def _store(self, s: Store, place: int) -> None:
        own = walk.own_expressions(s)
        if all(self._is_early(e, place) for e in own) and self._accesses.can_be_early(
            s, place, self._moved
        ):
            self._before.append(s)
            self._moved.add(place)
        elif self._is_worth_a_place(s.value) and self._can_be_late(s, place):
            self._after.append(replace(s, value=walk.rewritten(s.value, self._in_array)))
        else:
            *indices, value = (self._in_loop(e, place) for e in own)
            self._inside.append(Store(s.array, tuple(indices), value))

    # --- Known before ---------------------------------------------------------------------------

    def _is_early(self, e: Expression, place: int) -> bool:
        """Whether an expression of the statement at this place is known before the loop."""

        def known(part: Expression) -> bool:
            if isinstance(part, Variable):
                return part.name not in self._times or part.name in self._early
            if isinstance(part, Load):
                return self._accesses.is_old(part, place, self._moved)
            return not isinstance(part, Reduce)

        return all(known(part) for part in walk.expressions(e))

    def _in_loop(self, e: Expression, place: int, *, always: bool = True) -> Expression:
        """The expression for the loop, in which what is known before is a load where that pays.

        Args:
            e: An expression of the statement at `place`.
            place: Of a statement.
            always: Whether its operands are computed in every case.
        """
        if isinstance(e, Variable) and e.name in self._early:
            value = self._early[e.name]
            is_cheap = not self._is_worth_a_place(value) and self._is_early(value, place)
            return self._in_loop(value, place, always=False) if is_cheap else self._keep(e)
        if always and self._is_early(e, place) and self._is_worth_a_place(e):
            return self._keep(e)
        match e:
            case Load(indices=indices):
                own = tuple(self._in_loop(i, place, always=False) for i in indices)
                return replace(e, indices=own)
            case Apply(op=op, operands=(first, *others)):
                rest = always and op not in _LAZY
                return replace(
                    e,
                    operands=(
                        self._in_loop(first, place, always=always),
                        *(self._in_loop(o, place, always=rest) for o in others),
                    ),
                )
            case Cast(operand=operand):
                return replace(e, operand=self._in_loop(operand, place, always=always))
            case _:
                return e

    def _keep(self, e: Expression) -> Load:
        """The place where a value is that was known before."""
        value = self._plain(e)
        if value not in self._kept:
            self._kept[value] = self._column.element(e.dtype)
            self._before.append(_stored(self._kept[value], e))
        return self._kept[value]

    def _plain(self, e: Expression) -> Expression:
        """The same for expressions that differ only in what equal scalars are called."""
        return walk.rewritten(e, lambda part: self._named.get(part, part))

    def _is_worth_a_place(self, e: Expression) -> bool:
        """Whether to compute an expression apart is worth a store and a load of its value."""
        return self._weight(e) >= _WORTH and bool(walk.names_in(e) & self._changing)

    def _weight(self, e: Expression) -> int:
        """Quick operations and loads, or so many as make it worth a place."""
        weight = 0
        for part in walk.expressions(e):
            match part:
                case Variable(name=name):
                    weight += self._weights.get(name, 0)
                case Apply(op=op):
                    weight += 1 if op in _QUICK else _WORTH
                case Load() if walk.names_in(part) & self._changing:
                    weight += 1
                case _:
                    pass
        return min(weight, _WORTH)

    # --- Needed after ---------------------------------------------------------------------------

    def _can_be_late(self, s: Store, place: int) -> bool:
        """Whether a store needs at most one scalar of the loop, and nobody in the loop needs it."""
        scalars = {name for e in walk.own_expressions(s) for name in walk.names_in(e)}
        return (
            len((scalars & self._times.keys()) - self._early.keys()) <= 1
            and not any(
                isinstance(part, Variable)
                for index in s.indices
                for part in walk.expressions(index)
            )
            and not any(isinstance(part, Reduce) for part in walk.expressions(s.value))
            and self._accesses.can_be_late(s, place, self._moved)
        )

    def _in_array(self, e: Expression) -> Expression:
        """A scalar of the loop as it is now, for later."""
        if not isinstance(e, Variable) or e.name not in self._times:
            return e
        if e.name in self._early:
            return self._keep(e)
        times = sum(isinstance(s, Assign) and s.name == e.name for s in self._inside)
        if (e.name, times) not in self._late:
            self._late[e.name, times] = self._column.element(e.dtype)
            self._inside.append(_stored(self._late[e.name, times], e))
        return self._late[e.name, times]


def _stored(place: Load, value: Expression) -> Store:
    return Store(place.array, place.indices, value)
