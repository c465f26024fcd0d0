"""What a reference reads: which cells of the results change when cells of the inputs do.

`split={"y": Block(halo=1)}` promises that cell i of every result depends, along `y` and for each
time step, on cells i - 1 to i + 1 of every input. It is put to the test from both ends: single
cells, at corners and edges first, are changed and the results that change are located; and all
that lies beyond the halo of a block is drawn anew, after which nothing of the block may differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from outpace.codegen.dims import parse_dim
from outpace.codegen.splitting import block_dims, cut_axes, halo_of
from outpace.model import Argument, Contract
from outpace.split import Block, Boundary
from outpace.tuner.numerics.beyond import Blocks, chosen_blocks, guilty_cells
from outpace.tuner.numerics.probing import Problem, attempt
from outpace.tuner.numerics.reads import Cell, Index, Read, chosen_cells, reads_of


@dataclass
class Reach:
    """How far the reads of one step were seen to go along a dim.

    Attributes:
        low: Cells down.
        high: Cells up.
        wraps: Whether a read went across the ends.
        count: Reads of wide problems.
    """

    low: int = 0
    high: int = 0
    wraps: bool = False
    count: int = 0


@dataclass
class ReachTest:
    """Holds problems against the declared halos, and keeps how far reads went.

    Attributes:
        contract: What is declared.
        seen: By dim.
    """

    contract: Contract
    seen: dict[str, Reach] = field(default_factory=dict)

    def violation(self, problem: Problem, rng: np.random.Generator) -> str | None:
        """The first dependence that the contract does not declare, as a sentence."""
        bad = []
        for argument in self.contract.arguments:
            if cut_axes(self.contract, argument):
                for index in chosen_cells(self.contract, argument, problem, rng):
                    bad += self._undeclared(problem, argument, index)
        return self._sentence(problem, bad) if bad else self._far_violation(problem, rng)

    def idle_periodic(self) -> str | None:
        """The sentence about a dim that is declared periodic and never seen to be."""
        for dim, block in block_dims(self.contract).items():
            seen = self.seen.get(dim, Reach())
            if block.boundary is Boundary.PERIODIC and seen.count and not seen.wraps:
                return (
                    f"{dim!r} is declared periodic, but no cell at one end of {dim} changes with "
                    'a cell at the other end; write boundary="fixed"'
                )
        return None

    def unseen(self) -> str | None:
        """The sentence about a dim along which nothing was seen to depend on anything."""
        for dim in block_dims(self.contract):
            if dim not in self.seen:
                return (
                    f"the split of {dim!r} could not be tested: no result was seen to change with "
                    "any cell; give inputs= under which it does"
                )
        return None

    def spare_halos(self) -> list[str]:
        """Notes about halos that are larger than what was read."""
        notes = []
        for dim, block in block_dims(self.contract).items():
            seen, (low, high) = self.seen.get(dim, Reach()), halo_of(block)
            if seen.count and (seen.low < low or seen.high < high):
                notes.append(
                    f"a halo of {halo_text(seen.low, seen.high)} is enough for {dim!r}: no cell "
                    "farther away was seen to matter"
                )
        return notes

    def _undeclared(self, problem: Problem, argument: Argument, index: Index) -> list[Read]:
        """Reads of one cell that the contract does not declare; all are taken note of."""
        reads = list(reads_of(problem, argument, index))
        for read in reads:
            self._note(problem, read)
        return [read for read in reads if not self._is_declared(problem, read)]

    def _note(self, problem: Problem, read: Read) -> None:
        if not problem.is_wide or problem.steps > 1:
            return
        seen = self.seen.setdefault(read.dim, Reach())
        seen.count += 1
        if read.distance is None:
            return
        seen.low, seen.high = max(seen.low, -read.distance), max(seen.high, read.distance)
        seen.wraps |= read.distance != read.straight

    def _is_declared(self, problem: Problem, read: Read) -> bool:
        split = self.contract.split[read.dim]
        if read.distance is None:
            return read.result in self.contract.reduce
        if not isinstance(split, Block):
            return True
        low, high = (problem.steps * cells for cells in halo_of(split))
        return -low <= read.distance <= high

    def _sentence(self, problem: Problem, bad: Sequence[Read]) -> str:
        """Name the read that is farthest from what is declared."""
        worst = max(bad, key=lambda read: abs(read.distance or 0))
        if worst.distance is None:
            return (
                f"output {worst.text}, but {worst.result!r} does not have the dim {worst.dim!r}, "
                f"which is cut, so no rank could compute it from its own block; leave "
                f"{worst.dim!r} out of split{self._as_reduction(worst.result)}"
            )
        block = self.contract.split[worst.dim]
        assert isinstance(block, Block)
        declared = halo_text(*halo_of(block))
        if problem.steps > 1:
            low, high = (problem.steps * cells for cells in halo_of(block))
            declared += f" reaches {halo_text(low, high)} in {problem.steps} steps"
        else:
            declared = f"is {declared}"
        return (
            f"output {worst.text}: {_cells(abs(worst.distance))} away in {worst.dim}, the declared "
            f"halo {declared} (at {problem.text}); {self._advice(problem, bad, worst)}"
        )

    def _as_reduction(self, name: str) -> str:
        """The other way out, for an output of which no axis is cut."""
        output = next((o for o in self.contract.outputs if o.name == name), None)
        if output is None or cut_axes(self.contract, output):
            return ""
        return f', or declare what it is over the blocks, as in reduce={{"{name}": Reduced("sum")}}'

    def _advice(self, problem: Problem, bad: Sequence[Read], worst: Read) -> str:
        block, extent = self.contract.split[worst.dim], problem.sizes[worst.dim]
        assert isinstance(block, Block)
        along = [read for read in bad if read.dim == worst.dim]
        if all(self._is_across(problem, block, read.straight, extent) for read in along):
            return (
                f"these are neighbours only across the ends of {worst.dim}, so write "
                'boundary="periodic"'
            )
        count = self._count_of_steps(problem, worst)
        if count is not None:
            return f'if {count!r} counts time steps, write steps="{count}"'
        low, high = halo_of(block)
        ways = [read.distance for read in along if read.distance is not None]
        low = max(low, *(-(way // problem.steps) for way in ways))
        high = max(high, *(-(-way // problem.steps) for way in ways))
        if max(low, high) * problem.steps >= extent // 2:
            return (
                f"leave {worst.dim!r} out of split, or write Ring() if every cell may read all "
                f"of {worst.dim}, Pencil() if it is transformed as a whole"
            )
        return f"write Block(halo={low if low == high else (low, high)})"

    def _is_across(self, problem: Problem, block: Block, straight: int, extent: int) -> bool:
        """Whether cells are neighbours across the ends of a dim that is declared fixed."""
        low, high = (problem.steps * cells for cells in halo_of(block))
        across = (straight - extent, straight + extent)
        return block.boundary is Boundary.FIXED and any(-low <= way <= high for way in across)

    def _count_of_steps(self, problem: Problem, read: Read) -> str | None:
        """An int argument without whose repetitions the read would be within the halo."""
        used = {n for p in self.contract.parts for d in p.dims or () for n in parse_dim(d).names}
        if self.contract.steps is not None:
            return None
        for count in self.contract.arguments:
            if count.is_array or count.name in used or problem.sizes.get(count.name, 0) < 2:
                continue
            sizes = {**problem.sizes, count.name: 1}
            inputs = {**problem.inputs, count.name: 1}
            once = attempt(problem.oracle, inputs, sizes)
            if once is None:
                continue
            single = Problem(
                problem.oracle, sizes, 1, inputs, problem.others, once, problem.is_wide
            )
            found = list(reads_of(single, _named(self.contract, read.argument), read.source))
            if found and all(self._is_declared(single, again) for again in found):
                return count.name
        return None

    # --- Everything beyond the halo of a block at once --------------------------------------------

    def _far_violation(self, problem: Problem, rng: np.random.Generator) -> str | None:
        for blocks in chosen_blocks(rng, problem):
            guilty = guilty_cells(problem, blocks)
            if guilty:
                return self._far_sentence(problem, blocks, guilty)
        return None

    def _far_sentence(self, problem: Problem, blocks: Blocks, guilty: Sequence[Cell]) -> str:
        if len(guilty) == 1:
            name, index = guilty[0]
            bad = self._undeclared(problem, _named(self.contract, name), index)
            if bad:
                return self._sentence(problem, bad)
        cells = ", ".join(f"{dim}={start}:{end}" for dim, (start, end) in blocks.items())
        names = sorted({name for name, _ in guilty})
        return (
            f"the results in the block {cells} (at {problem.text}) change with cells of "
            f"{', '.join(names)} beyond its halo; leave a dim out of split, or pass what is taken "
            "over all cells as an argument"
        )


def _named(contract: Contract, name: str) -> Argument:
    return next(argument for argument in contract.arguments if argument.name == name)


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def halo_text(low: int, high: int) -> str:
    """A halo as it is written: one number where both sides are alike."""
    return str(low) if low == high else str((low, high))
