"""How many floating-point operations a program does at given sizes: counted, never estimated.

Counted are `+ - * /` on floats, one each; functions such as `exp` are counted apart, because what
one costs depends on the machine. A multiply-add is two. Of complex numbers a sum is 2 operations
of the parts, a product 6 and a quotient 11. A reduction of n values by sums or products is n.
Comparisons, changes of sign, roundings, conversions and everything on integers and booleans are
not counted.

The count is of the reference as it is written, with the freedom that NumPy takes too: what does not
depend on an index of a nest is not done again for it.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from outpace.codegen.dims import Affine
from outpace.codegen.nests import walk
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Assign,
    Cast,
    Constant,
    Define,
    Expression,
    If,
    Load,
    Loop,
    Nest,
    Op,
    Position,
    Program,
    Range,
    Rebind,
    Reduce,
    Reduction,
    Reshape,
    Statement,
    Store,
    Variable,
)
from outpace.codegen.nests.lift import lift, size_names
from outpace.codegen.reference import Reference
from outpace.errors import NotLifted

MOST_ROUNDS = 20_000
"""Rounds of loops that are looked at one by one, because they differ."""

_ARITHMETIC = {Op.ADD: (1, 2), Op.SUBTRACT: (1, 2), Op.MULTIPLY: (1, 6), Op.DIVIDE: (1, 11)}
"""Operations of a real one, and of the parts of a complex one."""
_REDUCTIONS = {Reduction.SUM: Op.ADD, Reduction.PROD: Op.MULTIPLY}
_FUNCTIONS = frozenset({
    *(Op.FLOOR_DIVIDE, Op.REMAINDER, Op.POWER, Op.SQRT, Op.EXP, Op.LOG, Op.LOG2, Op.LOG10),
    *(Op.LOG1P, Op.EXPM1, Op.SIN, Op.COS, Op.TAN, Op.ARCSIN, Op.ARCCOS, Op.ARCTAN, Op.ARCTAN2),
    *(Op.HYPOT, Op.SINH, Op.COSH, Op.TANH, Op.FAST_EXP),
})  # fmt: skip
_FUNCTION = "function"
_INTEGERS: Mapping[Op, Callable[..., int]] = {
    Op.ADD: operator.add,
    Op.SUBTRACT: operator.sub,
    Op.MULTIPLY: operator.mul,
    Op.FLOOR_DIVIDE: operator.floordiv,
    Op.REMAINDER: operator.mod,
    Op.NEGATIVE: operator.neg,
    Op.ABSOLUTE: abs,
    Op.MINIMUM: min,
    Op.MAXIMUM: max,
    Op.SMALLER: min,
    Op.LARGER: max,
    Op.LEFT_SHIFT: operator.lshift,
    Op.RIGHT_SHIFT: operator.rshift,
    Op.LESS: operator.lt,
    Op.LESS_EQUAL: operator.le,
    Op.GREATER: operator.gt,
    Op.GREATER_EQUAL: operator.ge,
    Op.EQUAL: operator.eq,
    Op.NOT_EQUAL: operator.ne,
}


@dataclass(frozen=True)
class Operations:
    """What a call does.

    Attributes:
        arithmetic: `+ - * /` by the dtype in which they are done: `float32`, `float64`, ...
        functions: Calls of functions such as `sqrt` and `exp`.
    """

    arithmetic: dict[str, int]
    functions: int

    @property
    def total(self) -> int:
        """All arithmetic; functions are apart."""
        return sum(self.arithmetic.values())


def operations_of(reference: Reference, sizes: Mapping[str, int]) -> Operations | None:
    """Operations of one call of a reference; None where they are not known.

    Args:
        reference: The function.
        sizes: Every dim and every int argument.
    """
    try:
        program = lift(reference)
    except NotLifted:
        return None
    names = size_names(reference.contract)
    return count_operations(program, {names[n]: size for n, size in sizes.items() if n in names})


def count_operations(program: Program, sizes: Mapping[str, int]) -> Operations | None:
    """Operations of one call of a program.

    Args:
        program: As it is lifted; passes may compute a value twice, or not at all.
        sizes: By their names in the program.

    Returns:
        None where they depend on data, or where more than `MOST_ROUNDS` differ from each other.
    """
    assigned = {s.name for s in walk.statements(program.body) if isinstance(s, Assign)}
    known = {n: size for n, size in sizes.items() if n not in assigned}
    for branches_decide in (False, True):  # mostly there is as much to do either way
        try:
            tally = _Counting(known, branches_decide=branches_decide).block(program.body)
        except _Unknown:
            continue
        functions = tally.pop(_FUNCTION, 0)
        return Operations(dict(sorted(tally.items())), functions)
    return None


class _Unknown(Exception):  # noqa: N818  (an outcome)
    """A number depends on data, or is too much work to find."""


class _Counting:
    """One walk over a program.

    `_known` holds integers by name. `_extents` holds those of the indices in force that stand for
    all their values at once, and `_varying` the names whose values depend on all of these.
    """

    def __init__(self, sizes: Mapping[str, int], *, branches_decide: bool) -> None:
        self._known = dict(sizes)
        self._deciding_kinds = (Loop, Define, If) if branches_decide else (Loop, Define)
        self._extents: dict[str, int] = {}
        self._varying: frozenset[str] = frozenset()
        self._decided: dict[int, set[str]] = {}
        self._rounds = 0

    # --- Statements -----------------------------------------------------------------------------

    def block(self, body: Iterable[Statement]) -> Counter[str]:
        """Operations of statements, one after another."""
        tally: Counter[str] = Counter()
        for statement in body:
            tally.update(self._statement(statement))
        return tally

    def _statement(self, s: Statement) -> Counter[str]:
        match s:
            case Store() | Assign():
                return self._own(s)
            case Define(name=name, value=value):
                self._known[name] = self._integer(value)
                return Counter()
            case Allocate() | Reshape() | Rebind():
                return Counter()
            case Nest(ranges=ranges, body=body):
                with self._inside(body):
                    return self._over(ranges, self._deciding(body), lambda: self.block(body))
            case Loop():
                return self._loop(s)
            case If():
                return self._branch(s)
        raise _Unknown  # a loop that depends on data, or a function of a library

    def _own(self, s: Statement) -> Counter[str]:
        tally: Counter[str] = Counter()
        for expression in walk.own_expressions(s):
            self._expression(expression, tally)
        return tally

    def _loop(self, s: Loop) -> Counter[str]:
        start, stop, step = (self._integer(e) for e in (s.start, s.stop, s.step))
        if step == 0:
            raise _Unknown
        rounds = range(start, stop, step)
        self._known.pop(s.name, None)
        if s.name in self._deciding(s.body) or self._defined(s.body) & set(self._known):
            return self._each(s.name, rounds, lambda: self.block(s.body))
        return _times(self.block(s.body), len(rounds)) if rounds else Counter()

    def _defined(self, body: Iterable[Statement]) -> set[str]:
        """Sizes that a block defines; what it redefines may differ in every round."""
        return {s.name for s in walk.statements(body) if isinstance(s, Define)}

    def _each(self, name: str, rounds: range, count: Callable[[], Counter[str]]) -> Counter[str]:
        """What is counted with a name at every one of its values."""
        tally: Counter[str] = Counter()
        self._rounds += len(rounds)
        if self._rounds > MOST_ROUNDS:
            raise _Unknown
        for value in rounds:
            self._known[name] = value
            tally.update(count())
        self._known.pop(name, None)
        return tally

    def _deciding(self, body: walk.Body) -> set[str]:
        """Names on which it depends how often something in a block is done."""
        if id(body) not in self._decided:
            self._decided[id(body)] = self._found_deciding(body)
        return self._decided[id(body)]

    def _found_deciding(self, body: walk.Body) -> set[str]:
        found: set[str] = set()
        for s in walk.statements(body):
            if isinstance(s, Nest):
                found |= {n for r in s.ranges for n in r.extent.names}
            decides = isinstance(s, self._deciding_kinds)
            for e in walk.own_expressions(s):
                found |= walk.names_in(e) if decides else _deciding_in(e)
        return found

    def _branch(self, s: If) -> Counter[str]:
        tally = self._own(s)
        try:
            taken: tuple[walk.Body, ...] = (s.body if self._integer(s.condition) else s.orelse,)
        except _Unknown:
            taken = (s.body, s.orelse)
        if len(taken) > 1 and self._defined((s,)):
            raise _Unknown
        ways = [self.block(way) for way in taken]
        if any(way != ways[0] for way in ways):
            raise _Unknown
        tally.update(ways[0])
        return tally

    # --- Ranges ---------------------------------------------------------------------------------

    def _over(
        self, ranges: tuple[Range, ...], deciding: set[str], count: Callable[[], Counter[str]]
    ) -> Counter[str]:
        """What is counted over ranges; those that decide how much there is, value by value."""
        if not ranges:
            return count()
        first, *rest = ranges
        extent = max(0, self._affine(first.extent))
        if first.name in deciding | {n for r in rest for n in r.extent.names}:
            over = partial(self._over, tuple(rest), deciding, count)
            return self._each(first.name, range(extent), over)
        self._extents[first.name] = extent
        try:
            return self._over(tuple(rest), deciding, count)
        finally:
            del self._extents[first.name]

    @contextmanager
    def _inside(self, body: tuple[Statement, ...]) -> Iterator[None]:
        """What a nest writes is taken to differ in all its iterations."""
        outside = self._varying
        self._varying |= {s.array for s in walk.stores(body)} | walk.scalars_written(body)
        try:
            yield
        finally:
            self._varying = outside

    # --- Expressions ----------------------------------------------------------------------------

    def _expression(self, e: Expression, tally: Counter[str]) -> frozenset[str]:
        """Count an expression, and tell on which indices in force its value depends."""
        match e:
            case Position(value=value):
                found = frozenset(value.names)
            case Variable(name=name):
                found = frozenset({name})
            case Load(array=array, indices=indices):
                found = frozenset({array}).union(*(self._expression(i, tally) for i in indices))
            case Apply(operands=operands):
                found = frozenset().union(*(self._expression(o, tally) for o in operands))
            case Cast(operand=operand):
                found = self._expression(operand, tally)
            case Reduce():
                found = self._reduction(e, tally)
            case _:
                found = frozenset()
        needed = frozenset(self._extents) if found & self._varying else found & set(self._extents)
        if isinstance(e, Apply):
            self._price(e.op, e.dtype, needed, tally)
        return needed

    def _reduction(self, e: Reduce, tally: Counter[str]) -> frozenset[str]:
        own = frozenset(r.name for r in e.ranges)
        needed: set[str] = set()

        def count() -> Counter[str]:
            inner: Counter[str] = Counter()
            outer = self._expression(e.body, inner) - own
            needed.update(outer)
            if e.kind in _REDUCTIONS:
                over = outer | own & set(self._extents)
                self._price(_REDUCTIONS[e.kind], e.dtype, over, inner)
            return inner

        tally.update(self._over(e.ranges, _deciding_in(e.body), count))
        return frozenset(needed)

    def _price(self, op: Op, dtype: str, over: Iterable[str], tally: Counter[str]) -> None:
        if np.dtype(dtype).kind not in "fc":
            return
        is_complex = np.dtype(dtype).kind == "c"
        repeats = prod(self._extents[name] for name in over)
        if op in _ARITHMETIC:
            part = f"float{4 * np.dtype(dtype).itemsize}" if is_complex else dtype
            tally[part] += repeats * _ARITHMETIC[op][is_complex]
        elif op in _FUNCTIONS:
            tally[_FUNCTION] += repeats

    # --- Integers -------------------------------------------------------------------------------

    def _integer(self, e: Expression) -> int:
        match e:
            case Position(value=value):
                return self._affine(value)
            case Constant(value=int(value)):
                return int(value)
            case Variable(name=name) if name in self._known:
                return self._known[name]
            case Cast(operand=operand, dtype=dtype) if np.dtype(dtype).kind in "iub":
                return self._integer(operand)
            case Apply(op=op, operands=operands) if op in _INTEGERS:
                values = [self._integer(operand) for operand in operands]
                try:
                    return int(_INTEGERS[op](*values))
                except (ArithmeticError, ValueError) as error:
                    raise _Unknown from error
        raise _Unknown

    def _affine(self, value: Affine) -> int:
        try:
            return value.evaluate(self._known)
        except KeyError as error:
            raise _Unknown from error


def _deciding_in(e: Expression) -> set[str]:
    return {
        name
        for part in walk.expressions(e)
        if isinstance(part, Reduce)
        for r in part.ranges
        for name in r.extent.names
    }


def _times(tally: Counter[str], rounds: int) -> Counter[str]:
    return Counter({kind: count * rounds for kind, count in tally.items()})
