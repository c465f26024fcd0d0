"""What a statement reads and writes, and whether two statements may change places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from outpace.codegen.nests import walk
from outpace.codegen.nests.ir import Allocate, Jump, Library, Rebind, Reshape, Statement


@dataclass(frozen=True)
class Effects:
    """Arrays (by the name of their memory) and scalars.

    Attributes:
        reads: Arrays read.
        writes: Arrays written, made or renamed.
        uses: Scalars and sizes read.
        sets: Scalars and sizes written.
        leaves: Whether control may leave by break or continue.
    """

    reads: frozenset[str]
    writes: frozenset[str]
    uses: frozenset[str]
    sets: frozenset[str]
    leaves: bool

    def commutes(self, other: Effects) -> bool:
        """Whether the order of the two does not matter."""
        return not (
            self.leaves
            or other.leaves
            or self.writes & (other.reads | other.writes)
            or other.writes & self.reads
            or self.sets & (other.uses | other.sets)
            or other.sets & self.uses
        )


def effects_of(body: Iterable[Statement], aliases: Mapping[str, str]) -> Effects:
    """Effects of statements with all in them."""
    body = tuple(body)
    made: set[str] = set()
    read: set[str] = set()
    uses: set[str] = set()
    for s in walk.statements(body):
        if isinstance(s, Allocate):
            made.add(s.array.name)
            uses |= {n for extent in s.array.shape for n in extent.names}
        elif isinstance(s, Reshape):
            made |= {s.array.name, s.base}
            uses |= {n for extent in s.array.shape for n in extent.names}
        elif isinstance(s, Rebind):
            made |= set(s.targets)
        elif isinstance(s, Library):
            made.add(s.target)
            read |= {o.array for o in s.operands}

    def memory(names: Iterable[str]) -> frozenset[str]:
        return frozenset(aliases.get(n, n) for n in names)

    return Effects(
        memory({load.array for load in walk.loads(body)} | read),
        memory({store.array for store in walk.stores(body)} | made),
        frozenset(walk.scalars_read(body) | uses),
        frozenset(walk.scalars_written(body)),
        any(isinstance(s, Jump) for s in walk.statements(body)),
    )
