"""Everything beyond the halo of a block is drawn anew: nothing of the block may change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from outpace.codegen.splitting import CutAxis, block_dims, cut_axes, halo_of
from outpace.split import Block, Boundary
from outpace.tuner.numerics.probing import Array, Problem
from outpace.tuner.numerics.reads import Cell, differing, mask_of, with_changed

Blocks = Mapping[str, tuple[int, int]]
"""First cell and end of a block, by dim."""

_BLOCKS = 6
"""Blocks of a problem that are looked at."""


def guilty_cells(problem: Problem, blocks: Blocks) -> Sequence[Cell]:
    """Cells beyond the halo of a block on which its results depend: one, where one is enough."""
    far = _far_cells(problem, blocks)
    if not _own_changes(problem, far, blocks):
        return ()
    cells = [
        (name, tuple(int(i) for i in index))
        for name, mask in far.items()
        for index in np.argwhere(mask)
    ]
    while len(cells) > 1:
        halves = (cells[: len(cells) // 2], cells[len(cells) // 2 :])
        half = next((h for h in halves if _own_changes(problem, mask_of(problem, h), blocks)), None)
        if half is None:
            break
        cells = half
    return cells


def chosen_blocks(rng: np.random.Generator, problem: Problem) -> Iterator[Blocks]:
    """Blocks at the ends of the dims, where a reference may differ, and some inside."""
    for _ in range(_BLOCKS if block_dims(problem.contract) else 0):
        yield {dim: _block(rng, problem.sizes[dim]) for dim in block_dims(problem.contract)}


def _block(rng: np.random.Generator, extent: int) -> tuple[int, int]:
    """A block of at most half of a dim: of the first cells, of the last ones, or inside."""
    length = int(rng.integers(1, max(2, extent // 2 + 1)))
    where = int(rng.integers(3))
    start = (0, extent - length, int(rng.integers(extent - length + 1)))[where]
    return start, start + length


def _far_cells(problem: Problem, blocks: Blocks) -> dict[str, Array]:
    """For each argument that is cut, which cells lie beyond the halo of a block in any dim."""
    found: dict[str, Array] = {}
    for argument in problem.contract.arguments:
        axes = [axis for axis in cut_axes(problem.contract, argument) if axis.dim in blocks]
        if not axes:
            continue
        far = np.zeros(problem.inputs[argument.name].shape, bool)
        for axis in axes:
            near = _near(problem, axis, blocks[axis.dim])
            shape = [1] * far.ndim
            shape[axis.number] = -1
            far |= ~near.reshape(shape)
        found[argument.name] = far
    return found


def _near(problem: Problem, axis: CutAxis, block: tuple[int, int]) -> Array:
    """Which cells of an axis are a block's own or in its halo."""
    split, extent = problem.contract.split[axis.dim], problem.sizes[axis.dim]
    low, high = (problem.steps * cells for cells in halo_of(split))
    at = np.arange(extent + axis.extra) - axis.origin
    near = (at >= block[0] - low) & (at < block[1] + high)
    if isinstance(split, Block) and split.boundary is Boundary.PERIODIC:
        for shift in (-extent, extent):
            near |= (at + shift >= block[0] - low) & (at + shift < block[1] + high)
        near |= low + high + block[1] - block[0] >= extent
    return near


def _own_changes(problem: Problem, masks: Mapping[str, Array], blocks: Blocks) -> bool:
    """Whether results of a block change when these cells are redrawn."""
    changed = with_changed(problem, masks)
    after = problem.run(changed) if changed else None
    if after is None:
        return False
    contract = problem.contract
    for part, old, new in zip(contract.results, problem.results, after, strict=True):
        if part.name in contract.reduce:
            continue
        own = [slice(None)] * old.ndim
        for axis in cut_axes(contract, part):
            if axis.dim in blocks:
                start, end = blocks[axis.dim]
                own[axis.number] = slice(start + axis.origin, end + axis.origin)
        if differing(old[tuple(own)], new[tuple(own)]).any():
            return True
    return False
