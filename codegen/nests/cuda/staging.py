"""Which sums of a nest take parts of their operands from shared memory, and which operands.

    nest i, j:  out[i, j] = sum over r of a[i, r] * b[r, j]

Threads of a block have rows of `a` and columns of `b` in common, and bodies that attract each other
have all of them in common. What depends on the index of the sum, and on one axis of a block at
most, is brought to shared memory by all threads together, some rounds of the sum at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from outpace.codegen.nests import walk
from outpace.codegen.nests.c.scopes import assigned_in, is_fresh
from outpace.codegen.nests.cuda.certain import certain_loads
from outpace.codegen.nests.ir import (
    Array,
    Assign,
    Constant,
    Expression,
    Load,
    Loop,
    Nest,
    Position,
    Range,
    Reduce,
    Statement,
    Store,
)

Body = tuple[Statement, ...]
_MOST_OPERANDS = 6
"""More would leave little shared memory to each."""


class Axis(Enum):
    """Along which axis of a block an operand differs from thread to thread."""

    NONE = "none"
    Y = "y"
    X = "x"


@dataclass(frozen=True)
class Operand:
    """Elements that are staged.

    Attributes:
        load: One of them, as the nest has it.
        axis: Of the block.
        is_along: Whether elements of neighbouring rounds of the sum are neighbours in memory.
    """

    load: Load
    axis: Axis
    is_along: bool


@dataclass(frozen=True)
class Staging:
    """A nest around one loop or reduction.

    Attributes:
        nest: The nest.
        before: Assignments.
        core: What is summed: a loop, or the statement with the reduction.
        reduce: The reduction, if it is not a loop.
        after: Statements.
        operands: What is staged.
    """

    nest: Nest
    before: Body
    core: Statement
    reduce: Reduce | None
    after: Body
    operands: tuple[Operand, ...]

    @property
    def carried(self) -> dict[str, str]:
        """Dtypes of the scalars that live from one part to the next."""
        found = assigned_in(self.before)
        if isinstance(self.core, Loop):
            later = walk.scalars_read(self.after)
            inside = assigned_in(self.core.body)
            found |= {
                name: dtype
                for name, dtype in inside.items()
                if name in later or not is_fresh(name, self.core.body)
            }
        return found


def staging_of(nest: Nest, arrays: Mapping[str, Array]) -> Staging | None:
    """How a nest is staged; None if nothing is to be gained or its form is another one.

    Args:
        nest: The nest.
        arrays: By name.
    """
    names = {r.name for r in nest.ranges}
    if not nest.ranges or any(names & set(r.extent.names) for r in nest.ranges):
        return None
    cores = [k for k, s in enumerate(nest.body) if isinstance(s, Loop) or _reductions(s)]
    if len(cores) != 1:
        return None
    place = cores[0]
    before, core, after = nest.body[:place], nest.body[place], nest.body[place + 1 :]
    found = _reductions(core)
    own = set(assigned_in(nest.body))
    if (
        not all(isinstance(s, Assign) for s in before)
        or not all(isinstance(s, Assign | Store) for s in after)
        or not (
            _is_plain(core, own | names)
            if isinstance(core, Loop)
            else isinstance(core, Store | Assign) and _is_flat(found, own | names)
        )
    ):
        return None
    summed = core if isinstance(core, Loop) else found[0]
    operands = _operands(nest, summed, own, arrays)
    wanted = {Axis.NONE} if len(nest.ranges) == 1 else {Axis.Y, Axis.X}
    if not wanted <= {o.axis for o in operands} or len(operands) > _MOST_OPERANDS:
        return None
    return Staging(nest, before, core, found[0] if found else None, after, operands)


def _reductions(s: Statement) -> list[Reduce]:
    """Reductions of a statement, those inside others included."""
    return [
        e
        for part in walk.statements([s])
        for own in walk.own_expressions(part)
        for e in walk.expressions(own)
        if isinstance(e, Reduce)
    ]


def _is_plain(loop: Loop, changing: set[str]) -> bool:
    """Whether all threads take the same rounds of a loop of assignments, one after another."""
    bounds = (loop.start, loop.stop)
    return (
        loop.step == Constant(1, "int64")
        and all(isinstance(s, Assign) for s in loop.body)
        and not _reductions(loop)
        and all(isinstance(b, Constant | Position) for b in bounds)
        and not any(changing & walk.names_in(b) for b in bounds)
    )


def _is_flat(found: list[Reduce], changing: set[str]) -> bool:
    """Whether all threads take the same rounds of the one reduction that there is."""
    if len(found) != 1:
        return False
    ranges = found[0].ranges
    names = {r.name for r in ranges}
    return bool(ranges) and not any((names | changing) & set(r.extent.names) for r in ranges)


def _operands(
    nest: Nest, core: Loop | Reduce, own: set[str], arrays: Mapping[str, Array]
) -> tuple[Operand, ...]:
    """Elements that depend on the innermost index, and on one axis of a block at most."""
    innermost = core.name if isinstance(core, Loop) else core.ranges[-1].name
    stored = {s.array for s in walk.stores(nest.body)}
    found: dict[Load, Operand] = {}
    ranges = (*nest.ranges, *(core.ranges if isinstance(core, Reduce) else ()))
    for load in sorted(certain_loads(_values(core), ranges, arrays), key=str):
        axis = _axis(load, nest.ranges)
        if (
            axis is not None
            and load.array not in stored
            and all(isinstance(i, Position) for i in load.indices)
            and innermost in walk.names_in(load)
            and not own & walk.names_in(load)
        ):
            is_along = innermost in walk.names_in(load.indices[-1])
            found[load] = Operand(load, axis, is_along)
    return tuple(found.values())


def _values(core: Loop | Reduce) -> list[Expression]:
    """What a round computes."""
    if isinstance(core, Reduce):
        return [core.body]
    return [s.value for s in core.body if isinstance(s, Assign)]


def _axis(load: Expression, ranges: tuple[Range, ...]) -> Axis | None:
    """The axis of a block along which an element differs; None if along both."""
    used = walk.names_in(load)
    along_x = ranges[-1].name in used
    along_y = len(ranges) > 1 and ranges[-2].name in used
    if along_x and (along_y or len(ranges) == 1):
        return None
    return Axis.X if along_x else Axis.Y if along_y else Axis.NONE
