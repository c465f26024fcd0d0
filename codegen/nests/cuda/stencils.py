"""Time loops over one stencil, which blocks can take several steps at a time in shared memory.

for t:  nest i, j:  new[i + 1, j + 1] = f(old[i, j + 1], old[i + 2, j + 1], ...)
        rebind old, new = new, old
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


@dataclass(frozen=True)
class Stencil:
    """One step.

    Attributes:
        nest: Of the step.
        store: Its last statement.
        old: The array that is read at several places.
        new: The one that is written.
        offsets: Where the store is, beyond the index of each range.
        low: How many cells before its own one a step reads, along each axis; not negative.
        high: How many after it.
    """

    nest: Nest
    store: Store
    old: str
    new: str
    offsets: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]

    def reach(self, load: Load) -> tuple[int, ...]:
        """From the cell that is written to one that is read, along each axis."""
        places = _offsets(load.indices, self.nest)
        assert places is not None
        return tuple(b - a for a, b in zip(self.offsets, places, strict=True))


def stencil_of(loop: Loop, after: Body, arrays: dict[str, Array]) -> Stencil | None:
    """The stencil of a time loop; None if its body is anything else.

    Args:
        loop: The loop.
        after: What follows it; may not use the state before the last one, which is not kept.
        arrays: Every array of the program.
    """
    match loop.body:
        case (
            Nest(body=(*before, Store(array=new) as store)) as nest,
            Rebind(targets=(first, second), sources=sources),
        ) if sources == (second, first) and new in sources and loop.step == Constant(1, "int64"):
            old = second if new == first else first
        case _:
            return None
    loads = list(walk.loads(nest.body))
    names = {r.name for r in nest.ranges}
    offsets = _offsets(store.indices, nest)
    reaches = [_offsets(load.indices, nest) for load in loads if load.array == old]
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
        or arrays[old].shape != arrays[new].shape
        or new in _used(after)
    ):  # fmt: skip
        return None
    axes = range(len(offsets))
    reached = [[places[a] - offsets[a] for places in found] for a in axes]
    low = tuple(max(0, -min(reached[a])) for a in axes)
    high = tuple(max(0, *reached[a]) for a in axes)
    return Stencil(nest, store, old, new, offsets, low, high)


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
