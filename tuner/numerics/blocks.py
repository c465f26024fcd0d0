"""Whether a reference, run on blocks of a problem, gives what it gives on the whole.

MPI programs run a kernel of the serial contract on each rank's own block with the ghost cells
around it, or on the own block alone where an output is a reduction. That is right for a reference
whose reads are as declared and which takes nothing from the size of a dim or from positions in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from outpace.codegen.dims import sizes_text
from outpace.codegen.domain import allows
from outpace.codegen.mpi.layout import Layout
from outpace.codegen.splitting import block_dims, cut_axes, ghosts, halo_of
from outpace.model import Contract, Mismatch
from outpace.split import Block, Boundary, Combination, Reduced
from outpace.tuner.numerics.acceptance import Band, Expected, compare, expect
from outpace.tuner.numerics.probing import Array, Problem, attempt

_BLOCKS = 3
"""Blocks of a problem that are run."""
_PARTS = (2, 3, 4)
"""Into how many blocks a dim is cut, if it is long enough."""
_WIDER = (1, 2)
"""Cells by which a halo is made wider to see whether that is all that is wrong."""

_COMBINE: Mapping[Combination, Callable[[Any, Any], Any]] = {
    Combination.SUM: np.add,
    Combination.PRODUCT: np.multiply,
    Combination.MINIMUM: np.minimum,
    Combination.MAXIMUM: np.maximum,
}


@dataclass(frozen=True)
class Local:
    """The problem of one rank.

    Attributes:
        spans: First cell and end of what it holds, by dim that is cut; beyond the ends of a
            periodic dim the cells of the other end.
        sizes: Its dims and int arguments.
        inputs: Its values by argument name.
    """

    spans: Mapping[str, tuple[int, int]]
    sizes: dict[str, int]
    inputs: dict[str, Any]


@dataclass
class BlockTest:
    """Runs blocks of problems.

    Attributes:
        contract: What is declared.
        ran: How many blocks the reference accepted.
        refused: Sizes of a block that it raised at, if it did.
    """

    contract: Contract
    ran: int = 0
    refused: dict[str, int] | None = None

    def violation(self, problem: Problem, rng: np.random.Generator) -> str | None:
        """The first result of blocks that is not that of the whole, as a sentence."""
        if not block_dims(self.contract):
            return None
        expected = expect(problem.oracle, problem.inputs, problem.sizes, rng)
        for grid in self._grids(problem, rng):
            layout = Layout.of(self.contract, problem.sizes, grid)
            found = self._reduction_violation(problem, layout, expected)
            found = found or self._padded_violation(problem, layout, expected, rng)
            if found is not None:
                return found
        return None

    def _grids(self, problem: Problem, rng: np.random.Generator) -> Iterator[dict[str, int]]:
        """Every dim cut by itself, which names the culprit, then all of them."""
        dims = block_dims(self.contract)
        parts = {
            dim: max(1, min(int(rng.choice(_PARTS)), problem.sizes[dim] // block.minimum))
            for dim, block in dims.items()
        }
        cut = {dim: n for dim, n in parts.items() if n > 1}
        yield from ({dim: n} for dim, n in cut.items())
        if len(cut) > 1:
            yield cut

    # --- Blocks with the ghost cells around them --------------------------------------------------

    def _padded_violation(
        self, problem: Problem, layout: Layout, expected: Expected, rng: np.random.Generator
    ) -> str | None:
        if all(part.name in self.contract.reduce for part in self.contract.results):
            return None
        for rank in rng.permutation(layout.ranks)[:_BLOCKS].tolist():
            local = local_problem(problem, layout, rank, problem.steps)
            results = self._run(problem, local)
            if results is None:
                continue
            own, got = self._own(layout, rank, local, results, expected)
            mismatch = compare(self.contract, own, got)
            if mismatch is not None:
                advice = self._wider_halo(problem, layout, expected)
                return self._padded_sentence(problem, layout, rank, local, mismatch, advice)
        return None

    def _wider_halo(self, problem: Problem, layout: Layout, expected: Expected) -> str | None:
        """A halo with which all blocks are right, as where more cells at the ends are held fixed.

        So they must be where the dims are cut elsewhere, too. A block that has grown to the whole
        dim says nothing.
        """
        cut = {dim for dim, parts in layout.grid.items() if parts > 1}
        for more in _WIDER:
            blocks = {
                dim: msgspec.structs.replace(block, halo=tuple(n + more for n in halo_of(block)))
                for dim, block in block_dims(self.contract).items()
                if dim in cut
            }
            wider = msgspec.structs.replace(self.contract, split={**self.contract.split, **blocks})
            grid = {dim: parts + (dim in cut) for dim, parts in layout.grid.items()}
            elsewhere = Layout.of(self.contract, problem.sizes, grid)
            if all(self._is_right(problem, at, wider, expected) for at in (layout, elsewhere)):
                texts = (f"{d!r}: Block(halo={_halo_text(b)})" for d, b in blocks.items())
                return f"blocks are right with split={{{', '.join(texts)}}}"
        return None

    def _is_right(
        self, problem: Problem, layout: Layout, wider: Contract, expected: Expected
    ) -> bool:
        """Whether every block is right with other halos, and none is the whole dim with them."""
        for rank in range(layout.ranks):
            local = local_problem(problem, layout, rank, problem.steps, wider)
            run = self._run(problem, local)
            if run is None or any(local.sizes[dim] >= problem.sizes[dim] for dim in local.spans):
                return False
            if compare(self.contract, *self._own(layout, rank, local, run, expected)) is not None:
                return False
        return True

    def _own(
        self, layout: Layout, rank: int, local: Local, results: list[Array], expected: Expected
    ) -> tuple[Expected, list[Array]]:
        """What a rank's own cells of the results must be, and what they are."""
        got, bands = [], []
        for part, result, band in zip(self.contract.results, results, expected.bands, strict=True):
            if part.name in self.contract.reduce:  # tested by itself
                got.append(result)
                bands.append(Band(result, result, np.broadcast_to(0.0, result.shape)))
                continue
            own = layout.own(part, rank)
            here = list(own)
            for axis in cut_axes(self.contract, part):
                if axis.dim in local.spans:
                    start = local.spans[axis.dim][0]
                    cells = own[axis.number]
                    here[axis.number] = slice(cells.start - start, cells.stop - start)
            got.append(result[tuple(here)])
            bands.append(Band(band.native[own], band.centre[own], band.allowed[own]))
        return replace(expected, bands=tuple(bands)), got

    def _padded_sentence(
        self,
        problem: Problem,
        layout: Layout,
        rank: int,
        local: Local,
        mismatch: Mismatch,
        advice: str | None,
    ) -> str:
        own = {dim: layout.block(dim, rank) for dim in local.spans}
        part = next(p for p in self.contract.results if p.name == mismatch.output)
        starts = [cells.start for cells in layout.own(part, rank)]
        index = [i + start for i, start in zip(mismatch.index, starts, strict=True)]
        cut = " and ".join(repr(dim) for dim in local.spans)
        advice = advice or (
            "it depends on a size, on positions, or on something taken over all cells: pass that "
            f"as an argument, or leave {cut} out of split"
        )
        return (
            f"{mismatch.output}[{', '.join(map(str, index))}] of the whole (at {problem.text}) is "
            f"{mismatch.expected}, but {mismatch.got} when the reference runs on the block "
            f"{_spans_text(own)} with the cells around it, {_spans_text(local.spans)}; {advice}"
        )

    # --- Reductions -------------------------------------------------------------------------------

    def _reduction_violation(
        self, problem: Problem, layout: Layout, expected: Expected
    ) -> str | None:
        if not self.contract.reduce:
            return None
        locals_ = [local_problem(problem, layout, rank, 0) for rank in range(layout.ranks)]
        runs = [self._run(problem, local) for local in locals_]
        results = [run for run in runs if run is not None]
        if len(results) < len(runs):
            return None
        names = [part.name for part in self.contract.results]
        for name, reduced in self.contract.reduce.items():
            position = names.index(name)
            parts = [result[position] for result in results]
            found = _combination_violation(
                name, reduced, parts, expected.bands[position], self.contract, expected
            )
            if found is not None:
                blocks = "; ".join(_spans_text(local.spans) for local in locals_)
                return f"{found} (at {problem.text}, blocks {blocks})"
        return None

    def _run(self, problem: Problem, local: Local) -> list[Array] | None:
        if not allows(self.contract, local.sizes):
            return None
        results = attempt(problem.oracle, local.inputs, local.sizes)
        if results is None:
            self.refused = self.refused or local.sizes
        else:
            self.ran += 1
        return results


def local_problem(
    problem: Problem, layout: Layout, rank: int, steps: int, contract: Contract | None = None
) -> Local:
    """A rank's own block with the ghost cells for so many steps, 0 for none at all.

    Args:
        problem: The whole.
        layout: Who owns what.
        rank: Whose block.
        steps: As many as the ghost cells allow.
        contract: Declares the halos, if not that of the problem.
    """
    contract = contract or problem.contract
    spans = {}
    for dim, parts in layout.grid.items():
        split = contract.split[dim]
        if parts == 1 or not isinstance(split, Block):
            continue
        (start, end), (low, high) = layout.block(dim, rank), (0, 0)
        if steps:
            low, high = ghosts(contract, dim, steps)
        is_fixed = split.boundary is Boundary.FIXED
        extent = problem.sizes[dim]
        spans[dim] = (
            max(0, start - low) if is_fixed else start - low,
            min(extent, end + high) if is_fixed else end + high,
        )
    inputs = dict(problem.inputs)
    for argument in contract.arguments:
        for axis in cut_axes(contract, argument):
            if axis.dim in spans:
                start, end = spans[axis.dim]
                cells = np.arange(start, end + axis.extra) % (problem.sizes[axis.dim] + axis.extra)
                inputs[argument.name] = np.take(inputs[argument.name], cells, axis.number)
    sizes = {**problem.sizes, **{dim: end - start for dim, (start, end) in spans.items()}}
    return Local(spans, sizes, inputs)


def _combination_violation(
    name: str,
    reduced: Reduced,
    parts: list[Array],
    band: Band,
    contract: Contract,
    expected: Expected,
) -> str | None:
    """Why the outputs of blocks, combined in their order, are not that of the whole."""
    combined = _combined(reduced.operation, parts)
    if not reduced.reassociable:
        if combined.tobytes() == band.native.tobytes():
            return None
        return (
            f"{name!r} is declared reassociable=False, but combining the outputs of blocks by "
            f"{reduced.operation.value} changes {_plain(band.native)} to {_plain(combined)}; only "
            "an exact reduction may say so, so leave reassociable= out"
        )
    if _is_within(name, combined, band, contract, expected):
        return None
    others = [
        other
        for other in Combination
        if other is not reduced.operation
        and _is_within(name, _combined(other, parts), band, contract, expected)
    ]
    advice = (
        f'write Reduced("{others[0].value}")'
        if others
        else "leave it out of reduce, and the dims that it runs over out of split"
    )
    return (
        f"{name!r} is not the {reduced.operation.value} of what the reference gives on blocks: "
        f"that is {_plain(combined)}, on the whole it is {_plain(band.native)}; {advice}"
    )


def _combined(operation: Combination, parts: list[Array]) -> Array:
    total = parts[0]
    with np.errstate(all="ignore"):
        for part in parts[1:]:
            total = _COMBINE[operation](total, part)
    return total


def _is_within(
    name: str, combined: Array, band: Band, contract: Contract, expected: Expected
) -> bool:
    """Whether a reduction is accepted, the other results taken as they are."""
    names = [part.name for part in contract.results]
    got = expected.native
    got[names.index(name)] = combined
    bands = tuple(
        band if other == name else Band(value, value, np.broadcast_to(0.0, value.shape))
        for other, value in zip(names, got, strict=True)
    )
    return compare(contract, replace(expected, bands=bands), got) is None


def _plain(values: Array) -> str:
    first = str(values.flat[0])
    return first if values.size == 1 else f"{first} and so on"


def _halo_text(block: Block) -> str:
    low, high = halo_of(block)
    return str(low) if low == high else str((low, high))


def _spans_text(spans: Mapping[str, tuple[int, int]]) -> str:
    return sizes_text({dim: f"{start}:{end}" for dim, (start, end) in spans.items()})
