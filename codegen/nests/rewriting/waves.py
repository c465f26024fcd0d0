"""Time loops whose steps can go through the rows of their arrays as one wave.

The nests of a few time steps are stages, in their order. Row i of a stage is done at front
i + shift, so that all stages follow each other through the same rows while these are in the cache.
Two accesses of one element, one of them a store, keep their order if

    shift(later) - shift(earlier) >= offset(later) - offset(earlier)

where an access at row i + c has offset c. Several threads take chunks of rows: first each does what
depends on its chunk alone, a trapezoid whose sides lean inwards by the same rule, and then the
triangles that remain between chunks. See D. Wonnacott, "Achieving Scalable Locality with Time
Skewing", International Journal of Parallel Programming 30 (2002), 181-221.

Where rows have lines of their own, a thread may take a few lines at a time. Line j of a stage
belongs to the part that line j + shift of the first stage is in. By the same rule for the second
axis nothing depends on a part that comes later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import (
    Constant,
    Loop,
    Nest,
    Position,
    Rebind,
    Reduce,
    Statement,
    Store,
)
from outpace.codegen.nests.lifting.results import renamed

Body = tuple[Statement, ...]


@dataclass(frozen=True)
class Access:
    """Of a row of an array: whether it is written, and its distance from the row of the stage."""

    array: str
    offset: int
    writes: bool


@dataclass(frozen=True)
class Stage:
    """One nest of a time step.

    Attributes:
        row: Name of its row in the body.
        low: First row.
        high: End of its rows.
        body: What is done in a row.
        accesses: Rows that it touches of arrays that the loop writes.
    """

    row: str
    low: Affine
    high: Affine
    body: Body
    accesses: tuple[Access, ...]


@dataclass(frozen=True)
class Shifts:
    """Distances of stages from the first one of the first step.

    Attributes:
        stages: Of each stage within a step.
        step: Of each step from the one before.
    """

    stages: tuple[int, ...]
    step: int


@dataclass(frozen=True)
class Wave:
    """A time loop as a wave.

    Attributes:
        stages: Of one step of the wave.
        steps: Iterations of the loop that are one step of the wave.
        left: How the left side of a chunk leans.
        right: How its right side does, and how stages follow each other.
        lines: Of each stage how it goes through the second axis of its arrays, as if that were the
            first one; none if the wave cannot take a few lines at a time.
        across: How parts of lines lean.
    """

    stages: tuple[Stage, ...]
    steps: int
    left: Shifts
    right: Shifts
    lines: tuple[Stage, ...]
    across: Shifts

    @property
    def reach(self) -> int:
        """The greatest distance of an access from its row."""
        return max(abs(a.offset) for s in self.stages for a in s.accesses)


def wave_of(loop: Loop, aliases: Mapping[str, str]) -> Wave | None:
    """The loop as a wave, if its nests go row by row through what they share."""
    if loop.step != Constant(1, "int64") or not loop.body:
        return None
    last = loop.body[-1]
    nests: Body = loop.body
    steps = 1
    if isinstance(last, Rebind):
        if last.targets != last.sources[::-1] or len(last.targets) != 2:
            return None
        first = loop.body[:-1]
        again = tuple(_later(s, loop.name) for s in _exchanged(first, last.targets))
        nests, steps = (*first, *again), 2
    written = {s.array for s in walk.stores(nests)}
    touched = written | {e.array for e in walk.loads(nests)}
    if len({aliases.get(name, name) for name in touched}) < len(touched):
        return None
    extents = {
        n
        for s in walk.statements(nests)
        if isinstance(s, Nest)
        for r in s.ranges
        for n in r.extent.names
    }
    stages = [stage for s in nests for stage in _stages(s, written)]
    found = _all_fixed(stages, loop)
    if loop.name in extents or not any(_is_deep(s) for s in found):
        return None
    lines = _all_fixed([_lines(stage, written) for stage in found], loop)
    if not any(line.row for line in lines):
        lines = ()
    return Wave(found, steps, _shifts(found, -1), _shifts(found, 1), lines, _shifts(lines, 1))


def _all_fixed(stages: Sequence[Stage | None], loop: Loop) -> tuple[Stage, ...]:
    """The stages, if all are there and begin and end at the same places in every step."""
    changing = walk.scalars_written([loop]) | walk.indices([loop])
    found = tuple(s for s in stages if s is not None)
    is_fixed = not any({*s.low.names, *s.high.names} & changing for s in found)
    return found if is_fixed and len(found) == len(stages) else ()


def _stages(s: Statement, written: set[str]) -> list[Stage | None]:
    """A nest as a stage, or as one for each of its stores: its iterations are independent."""
    whole = _stage(s, written)
    if whole is None and isinstance(s, Nest) and all(isinstance(p, Store) for p in s.body):
        return [_stage(Nest(s.ranges, (part,)), written) for part in s.body]
    return [whole]


def _exchanged(body: Body, names: tuple[str, ...]) -> Body:
    """The body with two arrays in each other's place."""
    first, second = names
    body = renamed(body, first, f"{first} ")  # a name that no array has
    return renamed(renamed(body, second, first), f"{first} ", second)


def _later(s: Statement, name: str) -> Statement:
    """The statement as the next iteration of a loop has it."""
    values = {name: affine.plus(affine.symbol(name), affine.ONE)}
    (moved,) = walk.with_expressions((s,), walk.substituting(values))
    return moved


def _is_deep(stage: Stage) -> bool:
    """Whether it goes through rows, and a row is more than an element."""
    return stage.row != "" and any(isinstance(s, Nest) for s in stage.body)


def _stage(s: Statement, written: set[str]) -> Stage | None:
    """A nest as a stage: its rows are the first axis of the array that it writes first."""
    stores = list(walk.stores([s]))
    if not isinstance(s, Nest) or not stores or not isinstance(stores[0].indices[0], Position):
        return None
    target = stores[0].indices[0].value
    first = s.ranges[0]
    if affine.factor_of(target, first.name) == 1:
        ahead = affine.minus(target, affine.symbol(first.name))
        high = affine.plus(first.extent, ahead)
        inner = s.ranges[1:]
        body = (Nest(inner, s.body),) if inner else s.body
        return _with_accesses(Stage(first.name, ahead, high, body, ()), 0, written)
    if any(affine.factor_of(target, r.name) for r in s.ranges):
        return None
    end = affine.plus(target, affine.ONE)
    return _with_accesses(Stage("", target, end, (s,), ()), 0, written)


def _lines(stage: Stage, written: set[str]) -> Stage | None:
    """A stage along the second axis of the array that it writes first; a line is no element."""
    nest = stage.body[0]
    store = next(walk.stores(stage.body))
    index = store.indices[1] if len(store.indices) > 1 else None
    if len(stage.body) > 1 or not isinstance(nest, Nest) or not isinstance(index, Position):
        return None
    target = index.value
    moving = [r for r in nest.ranges if affine.factor_of(target, r.name)]
    low, high = target, affine.plus(target, affine.ONE)
    if moving:
        line = moving[0]
        is_element = line == nest.ranges[-1] and not any(isinstance(s, Nest) for s in nest.body)
        if affine.factor_of(target, line.name) != 1 or is_element or _is_slanted(nest, line.name):
            return None
        low = affine.minus(target, affine.symbol(line.name))
        high = affine.plus(line.extent, low)
    name = moving[0].name if moving else ""
    return _with_accesses(Stage(name, low, high, stage.body, ()), 1, written)


def _is_slanted(nest: Nest, name: str) -> bool:
    """Whether extents in a nest depend on this index of it."""
    nests = [s for s in walk.statements([nest]) if isinstance(s, Nest)]
    return any(name in r.extent.names for s in nests for r in s.ranges)


def _with_accesses(stage: Stage, axis: int, written: set[str]) -> Stage | None:
    """A stage with what it touches, unless its place along this axis is not known."""
    here = stage.low
    if stage.row:
        here = affine.plus(here, affine.symbol(stage.row))
    if any(_is_sum(s) for s in walk.statements(stage.body)):
        return None
    accesses = set()
    for e in walk.accesses(stage.body):
        if e.array not in written:
            continue
        index = e.indices[axis] if len(e.indices) > axis else None
        if not isinstance(index, Position):
            return None
        gap = affine.minus(index.value, here)
        if gap.terms:
            return None
        accesses.add(Access(e.array, gap.constant, isinstance(e, Store)))
    ordered = sorted(accesses, key=lambda a: (a.array, a.offset, a.writes))
    return replace(stage, accesses=tuple(ordered))


def _is_sum(s: Statement) -> bool:
    return any(
        isinstance(e, Reduce) for own in walk.own_expressions(s) for e in walk.expressions(own)
    )


def _shifts(stages: Sequence[Stage], direction: int) -> Shifts:
    """The least shifts that keep the order of all conflicting accesses.

    Args:
        stages: Of one step.
        direction: 1 for fronts and right sides, -1 for left sides, which lean the other way.
    """
    places: list[int] = []
    for k, later in enumerate(stages):
        least = [places[j] + g for j in range(k) for g in _gaps(stages[j], later, direction)]
        places.append(max([0, *least]))
    step = max(
        [0]
        + [
            places[j] - places[k] + gap
            for j, earlier in enumerate(stages)
            for k, later in enumerate(stages)
            for gap in _gaps(earlier, later, direction)
        ]
    )
    return Shifts(tuple(places), step)


def _gaps(earlier: Stage, later: Stage, direction: int) -> list[int]:
    """How far the later stage must stay behind, for each pair of conflicting accesses."""
    return [
        direction * (b.offset - a.offset)
        for a in earlier.accesses
        for b in later.accesses
        if a.array == b.array and (a.writes or b.writes)
    ]
