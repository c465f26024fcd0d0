"""Time loops over one stencil, which blocks can take several steps at a time in shared memory.

for t:  nest i, j:  new[i + 1, j + 1] = f(old[i, j + 1], old[i + 2, j + 1], ...)
        rebind old, new = new, old

A scheme of second order in time reads the state before the old one, too:

for t:  nest i, j:  new[i + 1, j + 1] = f(old[i, j + 1], ..., past[i + 1, j + 1], ...)
        rebind past, old, new = old, new, past
"""

from __future__ import annotations

from dataclasses import dataclass

from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.c.scopes import assigned_in, is_fresh
from outpace.codegen.nests.ir import (
    Array,
    Assign,
    Constant,
    Expression,
    Load,
    Loop,
    Nest,
    Position,
    Rebind,
    Reduce,
    Statement,
    Store,
)

Body = tuple[Statement, ...]
_MOST_STATES = 3


@dataclass(frozen=True)
class Stencil:
    """One step.

    Attributes:
        nest: Of the step.
        store: Its last statement.
        old: The array that is read at several places.
        new: The one that is written.
        past: The state before the old one, if it is read.
        offsets: Where the store is, beyond the index of each range.
        low: How many cells before its own one a step reads, along each axis; not negative.
        high: How many after it.
    """

    nest: Nest
    store: Store
    old: str
    new: str
    past: str | None
    offsets: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]

    @property
    def taking_turns(self) -> tuple[str, ...]:
        """Arrays that must be memory of the plan: the one written, or all where there are three."""
        return (self.new,) if self.past is None else (self.past, self.old, self.new)

    def reach(self, load: Load) -> tuple[int, ...]:
        """From the cell that is written to one that is read, along each axis."""
        places = _offsets(load.indices, self.nest)
        assert places is not None
        return tuple(b - a for a, b in zip(self.offsets, places, strict=True))


def stencil_of(loop: Loop, after: Body, arrays: dict[str, Array]) -> Stencil | None:
    """The stencil of a time loop; None if its body is anything else.

    Args:
        loop: The loop.
        after: What follows it; may not use the array that is free then, whose content is not kept.
        arrays: Every array of the program.
    """
    match loop.body:
        case (
            Nest(body=(*before, Store(array=new) as store)) as nest,
            Rebind() as rebind,
        ) if loop.step == Constant(1, "int64"):
            states = _states(rebind, new)
        case _:
            return None
    if states is None:
        return None
    *pasts, old = states
    loads = list(walk.loads(nest.body))
    names = {r.name for r in nest.ranges}
    offsets = _offsets(store.indices, nest)
    reaches = [_offsets(load.indices, nest) for load in loads if load.array in states]
    found = [places for places in reaches if places is not None]
    if (
        not all(isinstance(s, Assign) for s in before)
        or not all(is_fresh(name, nest.body) for name in assigned_in(nest.body))
        or any(isinstance(e, Reduce) for s in nest.body for o in walk.own_expressions(s)
               for e in walk.expressions(o))
        or any(names & set(r.extent.names) for r in nest.ranges)
        or any(load.array == new for load in loads)
        or loop.name in walk.scalars_read(nest.body)
        or not 1 <= len(nest.ranges) <= 3
        or offsets is None
        or len(found) < max(len(reaches), 2)
        or any(arrays[state].shape != arrays[new].shape for state in states)
        or new in _used(after)
    ):  # fmt: skip
        return None
    axes = range(len(offsets))
    reached = [[places[a] - offsets[a] for places in found] for a in axes]
    low = tuple(max(0, -min(reached[a])) for a in axes)
    high = tuple(max(0, *reached[a]) for a in axes)
    past = pasts[0] if pasts else None
    return Stencil(nest, store, old, new, past, offsets, low, high)


def _states(rebind: Rebind, new: str) -> tuple[str, ...] | None:
    """The arrays of the last state or two, the oldest first, if all move up by one in a step."""
    moved = dict(zip(rebind.sources, rebind.targets, strict=True))
    if set(moved) != set(rebind.targets) or not 2 <= len(moved) <= _MOST_STATES:
        return None
    found = [new]
    while (name := moved.get(found[-1])) is not None and name not in found:
        found.append(name)
    # What is new becomes the old state, that one the state before it, and this one is free.
    return tuple(reversed(found[1:])) if len(found) == len(moved) and name == new else None


def _offsets(indices: tuple[Expression, ...], nest: Nest) -> tuple[int, ...] | None:
    """What is added to the index of each range, if nothing else happens to it."""
    found = []
    if len(indices) != len(nest.ranges):
        return None
    for index, r in zip(indices, nest.ranges, strict=True):
        if not isinstance(index, Position):
            return None
        rest = affine.minus(index.value, affine.symbol(r.name))
        if rest.terms:
            return None
        found.append(rest.constant)
    return tuple(found)


def _used(body: Body) -> set[str]:
    moved = {n for s in walk.statements(body) if isinstance(s, Rebind) for n in s.sources}
    return moved | {load.array for load in walk.loads(body)} | walk.library_arrays(body)
