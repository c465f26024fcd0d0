"""Sum into bins in one pass over the elements instead of one pass for every bin.

    for i < m:                                      for i < m: low[i], high[i] = a(i), b(i)
        s = sum[j < n](where(a(i) <= x[j]           if low and high ascend:
                and x[j] < b(i), v[j], 0))    ->        for j < n: walk to the first i with
        out[i] = f(s)                                       x[j] < high[i]; from there on, while
                                                            low[i] <= x[j]: sums[i] += v[j]
                                                        for i < m: out[i] = f(sums[i])
                                                    else: as before

Where both bounds ascend, the bins that hold an element lie side by side, whatever their widths and
overlaps. The walk begins where bins of equal width would have the element, and makes the same
comparisons as the mask, so that no rounding moves an element. NaN compares false and is in no bin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.effects import effects_of
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Array,
    Assign,
    Cast,
    Constant,
    Expression,
    If,
    Jump,
    Load,
    Loop,
    Op,
    Position,
    Program,
    Reduce,
    Reduction,
    Statement,
    Store,
    Variable,
)

Body = tuple[Statement, ...]
_ASCENDING = {Op.LESS: Op.GREATER, Op.LESS_EQUAL: Op.GREATER_EQUAL}
"""Comparisons that bound from above when the element stands first, and their mirror images."""
_ZERO = Constant(0, "int64")
_ONE = Constant(1, "int64")


def binned(program: Program) -> Program:
    """The program with loops over bins that mask the same elements turned inside out.

    Sums then add in the order of the elements.
    """
    aliases = dependence.aliases(program.body)
    prefix = walk.unused_prefix(program, "bin")
    numbers = count()

    def block(body: Body) -> Body:
        result: list[Statement] = []
        for s in body:
            found = _bins_of(s, aliases) if isinstance(s, Loop) else None
            if found is None:
                result.append(walk.with_blocks(s, block))
            else:
                result += _Writer(found, f"{prefix}{next(numbers)}_").statements()
        return tuple(result)

    return replace(program, body=block(program.body))


# --- Recognition --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bounds:
    """`low < or <= element` and `element < or <= high`; only `element` depends on the index."""

    element: Expression
    low: Expression
    low_op: Op
    high: Expression
    high_op: Op


@dataclass(frozen=True)
class _Bins:
    """A loop over bins.

    Attributes:
        loop: The loop.
        count: How many bins there are.
        bounds: Of a bin, over the index `index`.
        index: The name of the elements' index.
        extent: How many elements there are.
        before: Statements that compute what the bounds are made of.
        sums: Each sum over a mask, and what it adds, over the index `index`.
    """

    loop: Loop
    count: Affine
    bounds: _Bounds
    index: str
    extent: Affine
    before: Body
    sums: Mapping[Reduce, Expression]


def _bins_of(loop: Loop, aliases: Mapping[str, str]) -> _Bins | None:
    if (loop.start, loop.step) != (_ZERO, _ONE) or not isinstance(loop.stop, Position):
        return None
    effects = effects_of(loop.body, aliases)
    inside = effects.sets | {loop.name}
    if effects.leaves or set(loop.stop.value.names) & inside:
        return None
    sums: dict[Reduce, Expression] = {}
    index, shared = "", None
    for reduce in _reduces(loop.body):
        masked = _masked(reduce)
        if masked is None:
            continue
        (over,) = reduce.ranges
        index = index or over.name
        mask, added = (walk.shifted(e, {over.name: affine.symbol(index)}) for e in masked)
        bounds = _bounds(mask, index)
        if bounds is None or (shared is not None and (bounds, over.extent) != shared):
            continue
        if not _is_fixed([bounds.element, added], inside, effects.writes, aliases):
            continue
        shared = (bounds, over.extent)
        sums[reduce] = added
    if shared is None or set(shared[1].names) & inside:
        return None
    before = _computed(shared[0], loop, effects.writes, aliases)
    if before is None:
        return None
    return _Bins(loop, loop.stop.value, shared[0], index, shared[1], before, sums)


def _reduces(body: Sequence[Statement]) -> list[Reduce]:
    """Reductions in the assignments of a block itself, each once."""
    values = [s.value for s in body if isinstance(s, Assign)]
    parts = [part for value in values for part in walk.expressions(value)]
    return list(dict.fromkeys(part for part in parts if isinstance(part, Reduce)))


def _masked(reduce: Reduce) -> tuple[Expression, Expression] | None:
    """The mask and what is added where it holds, of a sum over one range."""
    plain = reduce.kind is Reduction.SUM and reduce.dtype in ("float64", "int64")
    if not plain or len(reduce.ranges) != 1:
        return None
    match reduce.body:
        case Apply(op=Op.WHERE, operands=(mask, added, Constant(value=0))):
            return mask, added
        case Cast(operand=mask) if reduce.dtype == "int64":
            return mask, _ONE
    return None


def _bounds(mask: Expression, index: str) -> _Bounds | None:
    """The two comparisons of a mask, the element on the right place of each."""
    match mask:
        case Apply(op=Op.LOGICAL_AND | Op.BITWISE_AND, operands=(one, other)):
            pass
        case _:
            return None
    low = high = None
    for comparison in (one, other):
        turned = _element_first(comparison, index)
        if turned is not None and turned.op in _ASCENDING:
            high = turned
        elif turned is not None:
            low = turned
    if low is None or high is None or low.operands[0] != high.operands[0]:
        return None
    at_most = {mirror: op for op, mirror in _ASCENDING.items()}[low.op]
    return _Bounds(low.operands[0], low.operands[1], at_most, high.operands[1], high.op)


def _element_first(comparison: Expression, index: str) -> Apply | None:
    """A comparison of something that depends on the index with something that does not."""
    mirrors = _ASCENDING | {mirror: op for op, mirror in _ASCENDING.items()}
    if not isinstance(comparison, Apply) or comparison.op not in mirrors:
        return None
    left, right = comparison.operands
    if left.dtype != "float64" or right.dtype != "float64":
        return None
    if index in walk.names_in(right) and index not in walk.names_in(left):
        return replace(comparison, op=mirrors[comparison.op], operands=(right, left))
    if index in walk.names_in(left) and index not in walk.names_in(right):
        return comparison
    return None


def _is_fixed(
    parts: Sequence[Expression],
    inside: frozenset[str] | set[str],
    writes: frozenset[str],
    aliases: Mapping[str, str],
) -> bool:
    """Whether expressions are the same in all iterations, and plain enough to be moved."""
    for e in parts:
        if walk.names_in(e) & inside:
            return False
        for part in walk.expressions(e):
            if isinstance(part, Reduce):
                return False
            if isinstance(part, Load) and aliases.get(part.array, part.array) in writes:
                return False
    return True


def _computed(
    bounds: _Bounds, loop: Loop, writes: frozenset[str], aliases: Mapping[str, str]
) -> Body | None:
    """What computes the bounds of a bin from its number alone; None if something else does too."""
    needed = walk.names_in(bounds.low) | walk.names_in(bounds.high)
    before: list[Statement] = []
    for s in reversed(loop.body):
        if isinstance(s, Assign) and s.name in needed:
            needed |= walk.names_in(s.value)
            before.insert(0, s)
    names = [s.name for s in before if isinstance(s, Assign)]
    inside = effects_of(loop.body, aliases).sets
    if len(names) != len(set(names)) or (needed & inside) - set(names):
        return None
    if _read_before_set(before, set(names)):
        return None
    values = [s.value for s in before if isinstance(s, Assign)]
    fixed = _is_fixed([*values, bounds.low, bounds.high], set(), writes, aliases)
    return tuple(before) if fixed else None


def _read_before_set(before: Sequence[Statement], names: set[str]) -> bool:
    """Whether a scalar comes from the iteration before."""
    for s in before:
        assert isinstance(s, Assign)
        if walk.names_in(s.value) & names:
            return True
        names.discard(s.name)
    return False


# --- The loops that take its place --------------------------------------------------------------


class _Writer:
    """What a loop over bins becomes; every name begins with the prefix."""

    def __init__(self, bins: _Bins, prefix: str) -> None:
        self._bins = bins
        self._prefix = prefix
        self._number = Position(affine.symbol(bins.loop.name))
        self._first = Variable(f"{prefix}first", "int64")
        self._element = Variable(f"{prefix}element", "float64")
        self._ordered = Variable(f"{prefix}ordered", "bool")
        self._sums = {reduce: f"{prefix}sum{k}" for k, reduce in enumerate(bins.sums)}

    def statements(self) -> Body:
        """All of it."""
        bins = self._bins
        return (
            *self._allocations(),
            Assign(self._ordered.name, Constant(True, "bool")),
            replace(bins.loop, body=self._edges()),
            If(
                self._ordered,
                (*self._pass(), replace(bins.loop, body=self._use())),
                (bins.loop,),
            ),
        )

    def _allocations(self) -> list[Statement]:
        shape = (self._bins.count,)
        arrays = [Array(f"{self._prefix}{end}", "float64", shape) for end in ("low", "high")]
        arrays += [Array(name, reduce.dtype, shape) for reduce, name in self._sums.items()]
        return [Allocate(array) for array in arrays]

    def _edges(self) -> Body:
        """Bounds of a bin, whether they ascend so far, and sums that begin with 0."""
        bounds, number = self._bins.bounds, self._number
        previous = Position(affine.plus(number.value, affine.constant(-1)))
        ascends = [
            Apply(Op.LESS_EQUAL, (self._at(end, previous), self._at(end, number)), "bool")
            for end in ("low", "high")
        ]
        both = Apply(Op.LOGICAL_AND, (ascends[0], ascends[1]), "bool")
        so_far = Assign(self._ordered.name, Apply(Op.LOGICAL_AND, (self._ordered, both), "bool"))
        return (
            *self._bins.before,
            Store(f"{self._prefix}low", (number,), bounds.low),
            Store(f"{self._prefix}high", (number,), bounds.high),
            *(
                Store(
                    name, (number,), Constant(0.0 if reduce.dtype == "float64" else 0, reduce.dtype)
                )
                for reduce, name in self._sums.items()
            ),
            If(Apply(Op.LESS, (_ZERO, number), "bool"), (so_far,), ()),
        )

    def _pass(self) -> Body:
        """Over the elements; nothing where there are no bins, which have no bounds to read."""
        bins = self._bins
        last = Position(affine.plus(bins.count, affine.constant(-1)))
        start = Variable(f"{self._prefix}start", "float64")
        scale = Variable(f"{self._prefix}scale", "float64")
        width = Apply(Op.SUBTRACT, (self._at("high", last), start), "float64")
        bins_in_all = Cast(Position(bins.count), "float64")
        loop = Loop(
            bins.index,
            _ZERO,
            Position(bins.extent),
            _ONE,
            (
                Assign(self._element.name, bins.bounds.element),
                Assign(self._first.name, self._guess(start, scale, last)),
                *self._walk(),
            ),
        )
        return (
            If(
                Apply(Op.LESS, (_ZERO, Position(bins.count)), "bool"),
                (
                    Assign(start.name, self._at("low", _ZERO)),
                    Assign(scale.name, Apply(Op.DIVIDE, (bins_in_all, width), "float64")),
                    loop,
                ),
                (),
            ),
        )

    def _guess(self, start: Variable, scale: Variable, last: Position) -> Expression:
        """The bin of the element if all were of one width; the first one for NaN."""
        offset = Apply(Op.SUBTRACT, (self._element, start), "float64")
        guess = Apply(Op.MULTIPLY, (offset, scale), "float64")
        above = Apply(Op.LARGER, (Constant(0.0, "float64"), guess), "float64")
        within = Apply(Op.SMALLER, (Cast(last, "float64"), above), "float64")
        return Cast(within, "int64")

    def _walk(self) -> Body:
        """Down and up to the first bin that ends above the element, then through those it is in."""
        bounds, first, names = self._bins.bounds, self._first, self._prefix
        below = Apply(Op.SUBTRACT, (first, _ONE), "int64")
        back = Apply(bounds.high_op, (self._element, self._at("high", below)), "bool")
        here = Apply(bounds.high_op, (self._element, self._at("high", first)), "bool")
        holds = Apply(bounds.low_op, (self._at("low", first), self._element), "bool")
        onwards = Assign(first.name, Apply(Op.ADD, (first, _ONE), "int64"))
        stop = Position(self._bins.count)
        added = [
            Store(
                name,
                (first,),
                Apply(
                    Op.ADD,
                    (Load(name, (first,), reduce.dtype), self._bins.sums[reduce]),
                    reduce.dtype,
                ),
            )
            for reduce, name in self._sums.items()
        ]
        steps = Variable(f"{names}steps", "int64")
        return (
            Assign(steps.name, first),
            Loop(f"{names}down", _ZERO, steps, _ONE, (_unless(back), Assign(first.name, below))),
            Loop(f"{names}up", first, stop, _ONE, (_when(here), onwards)),
            Loop(f"{names}in", first, stop, _ONE, (_unless(holds), *added, onwards)),
        )

    def _use(self) -> Body:
        """The body of the loop, with the sums that are there by now."""

        def change(e: Expression) -> Expression:
            if isinstance(e, Reduce) and e in self._sums:
                return Load(self._sums[e], (self._number,), e.dtype)
            return e

        return walk.with_expressions(self._bins.loop.body, change)

    def _at(self, end: str, where: Expression) -> Load:
        return Load(f"{self._prefix}{end}", (where,), "float64")


def _unless(condition: Expression) -> If:
    return _when(Apply(Op.LOGICAL_NOT, (condition,), "bool"))


def _when(condition: Expression) -> If:
    """Leave the loop."""
    return If(condition, (Jump.BREAK,), ())
