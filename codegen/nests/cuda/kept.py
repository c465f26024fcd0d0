"""Keep an element that an iteration of a nest writes and uses again in a scalar, a register.

    nest i:  y[i] = 0;  for r:  y[i] = y[i] + f(i, r)    ->    kept = 0;  for r: ...;  y[i] = kept

That is right where every access to the array in the nest is to such an element, no two iterations
share one, and each is there, and written, whatever the data are and whichever loops are empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from outpace.codegen.nests import dependence, walk
from outpace.codegen.nests.cuda.certain import is_within
from outpace.codegen.nests.ir import (
    Allocate,
    Array,
    Assign,
    Expression,
    If,
    Load,
    Loop,
    Nest,
    Position,
    Program,
    Range,
    Reshape,
    Statement,
    Store,
    Variable,
)

Body = tuple[Statement, ...]
Cell = tuple[str, tuple[Expression, ...]]
"""An element: its array and its indices."""


def kept(program: Program) -> Program:
    """The program with elements of an iteration in scalars, outside of nests within nests."""
    prefix = walk.unused_prefix(program, "kept")
    aliases = dependence.aliases(program.body)
    arrays = {p.name: p for p in program.parameters if isinstance(p, Array)}
    arrays |= {
        s.array.name: s.array
        for s in walk.statements(program.body)
        if isinstance(s, Allocate | Reshape)
    }
    count = 0

    def visit(s: Statement) -> Statement:
        nonlocal count
        if not isinstance(s, Nest):
            return walk.with_blocks(s, lambda body: tuple(map(visit, body)))
        cells = {
            cell: use
            for cell, use in _cells(s, aliases).items()
            if use.is_there or is_within(cell[1], s.ranges, arrays[cell[0]])
        }
        names = {cell: f"{prefix}{count + k}" for k, cell in enumerate(cells)}
        count += len(names)
        return replace(s, body=_in_scalars(s.body, names, cells))

    return replace(program, body=tuple(map(visit, program.body)))


@dataclass
class _Uses:
    """Where an element is used in a nest.

    Attributes:
        dtype: Of the element.
        count: Loads and stores.
        is_written: Whether a store is sure to be reached, empty loops aside.
        is_there: Whether the nest itself is sure to use it, be its loops empty or not.
        is_made: Whether the first use is a plain store of the nest itself.
    """

    dtype: str = ""
    count: int = 0
    is_written: bool = False
    is_there: bool = False
    is_made: bool = False


@dataclass
class _Search:
    """Uses of elements in the body of a nest, and arrays that are used in other ways."""

    ranges: tuple[Range, ...]
    uses: dict[Cell, _Uses] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)

    def block(self, body: Body, *, is_sure: bool, is_top: bool) -> None:
        """Look through statements that run in every iteration of the nest, if `is_sure`."""
        for s in body:
            for own in walk.own_expressions(s):
                for load in walk.expressions(own):
                    if isinstance(load, Load):
                        self._use((load.array, load.indices), load.dtype)
            if isinstance(s, Store):
                is_new = (s.array, s.indices) not in self.uses
                use = self._use((s.array, s.indices), s.value.dtype)
                if use is not None:
                    use.is_written |= is_sure
                    use.is_there |= is_top
                    use.is_made |= is_new and is_top
            elif isinstance(s, Loop | If):
                sure = is_sure and isinstance(s, Loop)
                for block in walk.blocks(s):
                    self.block(block, is_sure=sure, is_top=False)
            elif isinstance(s, Nest):
                self.others |= {load.array for load in walk.loads([s])}
                self.others |= {store.array for store in walk.stores([s])}

    def _use(self, cell: Cell, dtype: str) -> _Uses | None:
        array, indices = cell
        own = {r.name for r in self.ranges}
        if not all(isinstance(i, Position) for i in indices) or not own <= _deciding(indices, own):
            self.others.add(array)
            return None
        use = self.uses.setdefault(cell, _Uses(dtype))
        use.count += 1
        return use


def _deciding(indices: tuple[Expression, ...], names: set[str]) -> set[str]:
    """Those of the names that an index depends on, and on nothing else, sizes included."""
    return {
        i.value.names[0]
        for i in indices
        if isinstance(i, Position) and len(i.value.names) == 1 and i.value.names[0] in names
    }


def _cells(nest: Nest, aliases: Mapping[str, str]) -> dict[Cell, _Uses]:
    """Elements that are worth a scalar and may have one."""
    inside = list(walk.statements(nest.body))
    if not all(isinstance(s, Store | Assign | If | Loop | Nest) for s in inside):
        return {}
    search = _Search(nest.ranges)
    search.block(nest.body, is_sure=True, is_top=True)
    own = {r.name for r in nest.ranges}
    changing = (walk.indices(nest.body) | walk.scalars_written(nest.body)) - own
    names = Counter(aliases.get(a, a) for a in {a for a, _ in search.uses} | search.others)
    found: dict[Cell, _Uses] = {}
    for (array, indices), use in search.uses.items():
        of_array = [other for name, other in search.uses if name == array]
        if (
            array not in search.others
            and names[aliases.get(array, array)] == 1
            and not any(changing & walk.names_in(i) for other in of_array for i in other)
            and all(
                other == indices or dependence.never_meet(indices, other, own, None)
                for other in of_array
            )
            and use.is_written
            and use.count > 1
        ):
            found[array, indices] = use
    return found


def _in_scalars(body: Body, names: Mapping[Cell, str], uses: Mapping[Cell, _Uses]) -> Body:
    """A body with these elements in scalars, which are stored at its end."""

    def loaded(e: Expression) -> Expression:
        name = names.get((e.array, e.indices)) if isinstance(e, Load) else None
        return e if name is None else Variable(name, e.dtype)

    def changed(s: Statement) -> Statement:
        if isinstance(s, Store) and (s.array, s.indices) in names:
            return Assign(names[s.array, s.indices], s.value)
        return walk.with_blocks(s, lambda inner: tuple(map(changed, inner)))

    first = [
        Assign(name, Load(*cell, uses[cell].dtype))
        for cell, name in names.items()
        if not uses[cell].is_made
    ]
    last = [Store(*cell, Variable(name, uses[cell].dtype)) for cell, name in names.items()]
    return (*first, *(changed(s) for s in walk.with_expressions(body, loaded)), *last)
