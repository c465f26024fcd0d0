"""Fill a buffer before a loop only where the loop's first write to it leaves something.

    nest i < n: new[i] = u[i]                     new[0] = u[0]
    for t:                                        new[n - 1] = u[n - 1]
        nest i < n - 2: new[i + 1] = f(old)   ->  for t:
        rebind old, new = new, old                    nest i < n - 2: new[i + 1] = f(old)
                                                      rebind old, new = new, old

The first statement of a step that touches the buffer writes a box of it that is the same in every
step, and reads none of it. Before that statement has run nothing of the buffer is read, and after
it all of it is as it would have been. If no step runs at all, nothing reads the buffer any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.bounds import Bounds
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Array,
    Assign,
    Constant,
    Expression,
    If,
    Loop,
    Nest,
    Op,
    Position,
    Program,
    Range,
    Rebind,
    Scalar,
    Statement,
    Store,
    While,
)

Body = tuple[Statement, ...]


@dataclass(frozen=True)
class _Span:
    """What is written along an axis, between what is not.

    Attributes:
        low: Elements before it.
        extent: Elements of it.
        high: Elements after it.
    """

    low: Affine
    extent: Affine
    high: Affine


def bordered(program: Program) -> Program:
    """The program with whole fills replaced by fills of borders wherever the pattern occurs."""
    return _Borders(program).program()


class _Borders:
    """One pass over a program."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._arrays = _buffers(program.body)
        self._mentions = list(_mentions(program.body))
        self._bounds = Bounds({size.name: 0 for size in program.sizes})
        fixed = {size.name for size in program.sizes}
        fixed |= {p.name for p in program.parameters if isinstance(p, Scalar)}
        self._fixed = fixed - walk.scalars_written(program.body)
        self._prefix = walk.unused_prefix(program, "at")
        self._count = 0

    def program(self) -> Program:
        """The program after the pass."""
        return replace(self._program, body=self._block(self._program.body))

    def _block(self, body: Body) -> Body:
        result: list[Statement] = []
        for place, s in enumerate(body):
            if isinstance(s, Nest):
                result += self._filled(s, body[place + 1 :])
            else:
                result.append(walk.with_blocks(s, self._block))
        return tuple(result)

    def _filled(self, fill: Nest, later: Body) -> Body:
        """A nest, or what is left of it if a loop that follows writes most of what it does."""
        store = fill.body[0]
        if len(fill.body) > 1 or not isinstance(store, Store) or store.array not in self._arrays:
            return (fill,)
        array = self._arrays[store.array]
        here = tuple(Position(affine.symbol(r.name)) for r in fill.ranges)
        is_whole = tuple(r.extent for r in fill.ranges) == array.shape and store.indices == here
        if not is_whole or self._mentions.count(array.name) == 1:
            return (fill,)
        spans = self._spans(array, fill, later)
        needed = None if spans is None else _needed(spans, self._bounds)
        if spans is None or needed is None:
            return (fill,)
        slabs = tuple(self._slab(fill, store, slab) for slab in _slabs(spans))
        return (If(_all(needed), slabs, (fill,)),) if needed else slabs

    def _spans(self, array: Array, fill: Nest, later: Body) -> tuple[_Span, ...] | None:
        """What the first write of a loop leaves of an array that only it and a fill touch."""
        loop = next((s for s in later if array.name in _mentions([s])), None)
        if not isinstance(loop, Loop | While):
            return None
        own = [*_mentions([fill]), *_mentions([loop])]
        if own.count(array.name) < self._mentions.count(array.name):
            return None
        if array.name in _mentions([replace(loop, body=())]):
            return None
        first = next(s for s in loop.body if array.name in _mentions([s]))
        if not isinstance(first, Nest) or list(_mentions([first])).count(array.name) > 1:
            return None
        return _written(first, array, self._fixed)

    def _slab(self, fill: Nest, store: Store, slab: Sequence[tuple[Affine, Affine]]) -> Statement:
        """The fill of a part of the array, given where it begins and its extent on every axis."""
        ranges: list[Range] = []
        places: dict[str, Affine] = {}
        for r, (low, extent) in zip(fill.ranges, slab, strict=True):
            places[r.name] = low
            if extent != affine.ONE:
                ranges.append(Range(f"{self._prefix}{self._count}", extent))
                self._count += 1
                places[r.name] = affine.plus(affine.symbol(ranges[-1].name), low)
        (part,) = walk.with_expressions((store,), walk.substituting(places))
        return Nest(tuple(ranges), (part,)) if ranges else part


def _buffers(body: Body) -> dict[str, Array]:
    """Local arrays of which every access is known; they may change places."""
    aliases = dependence.aliases(body)
    hidden = {*aliases, *aliases.values()} | walk.library_arrays(body)
    made = [s.array for s in walk.statements(body) if isinstance(s, Allocate)]
    names = [a.name for a in made]
    return {a.name: a for a in made if a.name not in hidden and names.count(a.name) == 1}


def _mentions(body: Sequence[Statement]) -> Iterator[str]:
    """The array of every load, store and renaming."""
    yield from (e.array for e in walk.accesses(body))
    for s in walk.statements(body):
        if isinstance(s, Rebind):
            yield from (*s.targets, *s.sources)


def _written(nest: Nest, array: Array, fixed: Collection[str]) -> tuple[_Span, ...] | None:
    """The box that a nest writes of an array, if it is one."""
    extents = {r.name: r.extent for r in nest.ranges}
    store = next((s for s in nest.body if isinstance(s, Store) and s.array == array.name), None)
    if store is None or not all(isinstance(s, Store | Assign) for s in nest.body):
        return None
    spans: list[_Span] = []
    for index, whole in zip(store.indices, array.shape, strict=True):
        if not isinstance(index, Position):
            return None
        moving = [(name, factor) for name, factor in index.value.terms if name in extents]
        low, extent = index.value, affine.ONE
        if moving:
            name, factor = moving[0]
            if len(moving) > 1 or factor != 1:
                return None
            low, extent = affine.minus(low, affine.symbol(name)), extents.pop(name)
        high = affine.minus(whole, affine.plus(low, extent))
        spans.append(_Span(low, extent, high))
    names = {n for span in spans for part in (span.low, span.extent, span.high) for n in part.names}
    return tuple(spans) if not extents and names <= set(fixed) else None


def _needed(spans: Sequence[_Span], bounds: Bounds) -> list[Affine] | None:
    """What must not be negative for a box to lie in its array; None if some of it always is."""
    needed: list[Affine] = []
    for span in spans:
        for part in (span.low, span.extent, span.high):
            if bounds.nonnegative(part) or part in needed:
                continue
            if not part.terms:
                return None
            needed.append(part)
    return needed


def _all(needed: Sequence[Affine]) -> Expression:
    """Whether none of these is negative."""
    every = [
        Apply(
            Op.GREATER_EQUAL,
            (
                Position(affine.minus(form, affine.constant(form.constant))),
                Constant(-form.constant, "int64"),
            ),
            "bool",
        )
        for form in needed
    ]
    condition: Expression = every[0]
    for one in every[1:]:
        condition = Apply(Op.LOGICAL_AND, (condition, one), "bool")
    return condition


def _slabs(spans: Sequence[_Span]) -> Iterator[list[tuple[Affine, Affine]]]:
    """What is left of an array around a box: where each part begins, and its extent, by axis."""
    for axis, span in enumerate(spans):
        inside = [(before.low, before.extent) for before in spans[:axis]]
        around = [(affine.ZERO, _whole(after)) for after in spans[axis + 1 :]]
        if span.low != affine.ZERO:
            yield [*inside, (affine.ZERO, span.low), *around]
        if span.high != affine.ZERO:
            yield [*inside, (affine.plus(span.low, span.extent), span.high), *around]


def _whole(span: _Span) -> Affine:
    return affine.plus(span.low, affine.plus(span.extent, span.high))
