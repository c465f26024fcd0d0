"""Which memory of the launch plan each array of a program is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from outpace.codegen.nests import dependence, walk
from outpace.codegen.nests.ir import Allocate, Array, Program, Rebind, Reshape
from outpace.errors import NotLifted
from outpace.model import Contract


class Memory:
    """Names of arrays in the plan.

    Attributes:
        arrays: Every array of the program by its name there.
        aliases: Arrays that are other names of the memory of another one.
        written: Names of arrays, as the plan has them, that kernels may write.

    Raises:
        NotLifted: Arrays change names that have another one besides, or the plan cannot say which.
    """

    def __init__(self, program: Program, contract: Contract) -> None:
        self.aliases = dependence.aliases(program.body)
        self.arrays = {p.name: p for p in program.parameters if isinstance(p, Array)}
        self._names = {
            p.name: part.name
            for p, part in zip(program.parameters, contract.parts, strict=True)
            if isinstance(p, Array)
        }
        self._buffers: list[Array] = []
        self._taken = {part.name for part in contract.parts} | set(contract.dims)
        self._collect(program)
        self._check_rebound(program)

    def name(self, array: str) -> str:
        """The name in the plan."""
        return self._names[self.aliases.get(array, array)]

    @property
    def buffers(self) -> Sequence[tuple[str, Array]]:
        """What the plan allocates."""
        return [(self._names[a.name], a) for a in self._buffers]

    def is_given(self, array: str) -> bool:
        """Whether it is memory of an argument or output."""
        return self.name(array) not in {name for name, _ in self.buffers}

    def never_written(self, program: Program) -> frozenset[str]:
        """Arguments that keep their values, and have no other name."""
        changed = {store.array for store in walk.stores(program.body)}
        for s in walk.statements(program.body):
            if isinstance(s, Reshape):
                changed |= {s.array.name, s.base}
            elif isinstance(s, Rebind):
                changed |= {*s.targets, *s.sources}
        inputs = {p.name for p in program.parameters if isinstance(p, Array)}
        return frozenset(inputs - changed - set(program.outputs))

    def add(self, array: Array) -> None:
        """One more buffer."""
        self.arrays[array.name] = array
        self._allocate(array)

    def shares(self, array: str, others: set[str]) -> bool:
        """Whether one of the others is the same memory under another name."""
        return any(o != array and self.name(o) == self.name(array) for o in others)

    def _collect(self, program: Program) -> None:
        for s in walk.statements(program.body):
            if not isinstance(s, Allocate | Reshape):
                continue
            known = self.arrays.get(s.array.name)
            if known is not None and known != s.array:
                raise NotLifted(f"two arrays called {s.array.name} in CUDA")
            if known is None and isinstance(s, Allocate):
                self._allocate(s.array)
            self.arrays[s.array.name] = s.array

    def _allocate(self, array: Array) -> None:
        name = array.name
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        self._names[array.name] = name
        self._buffers.append(array)

    def _check_rebound(self, program: Program) -> None:
        """In the plan all names of some memory move together, in a program they do not."""
        used = {e.array for e in walk.loads(program.body)}
        used |= {s.array for s in walk.stores(program.body)}
        rebound = {
            name
            for s in walk.statements(program.body)
            if isinstance(s, Rebind)
            for name in (*s.targets, *s.sources)
        }
        names = Counter(self.name(array) for array in used | rebound)
        for array in rebound:
            if names[self.name(array)] > 1:
                raise NotLifted(f"{array}, which changes places, has another name in CUDA")


def exchanges(s: Rebind, memory: Mapping[str, str]) -> list[tuple[str, str]]:
    """A simultaneous renaming as exchanges of two names each.

    Raises:
        NotLifted: Something is given a second name.
    """
    targets = [memory[t] for t in s.targets]
    sources = [memory[t] for t in s.sources]
    if sorted(targets) != sorted(sources):
        raise NotLifted("a renaming that gives some memory two names, in CUDA")
    holder = {name: name for name in targets}
    swaps = []
    for target, source in zip(targets, sources, strict=True):
        now = holder[source]
        if now == target:
            continue
        swaps.append((target, now))
        moved = next(m for m, name in holder.items() if name == target)
        holder[source], holder[moved] = target, now
    return swaps
