"""Which cells of the results of a reference change when a cell of its inputs does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from outpace.codegen.splitting import CutAxis, Part, cut_axes, halo_of
from outpace.model import Argument, Contract
from outpace.split import Block, Boundary, Pencil
from outpace.tuner.numerics.probing import Array, Problem

Index = tuple[int, ...]
Cell = tuple[str, Index]
"""An argument and an index in it."""

_CELLS = 12
"""Cells of an argument that are changed one at a time."""


@dataclass(frozen=True)
class Read:
    """A cell of a result that depends on a cell of an argument.

    Attributes:
        result: Name of the result.
        cell: Index in the result.
        argument: Name of the argument.
        source: Index in the argument.
        dim: The dim along which they are compared.
        distance: Cells from one to the other, up is positive; None where the result has no such
            dim. On a periodic dim the way that is within the halo, if one is.
        straight: The distance that does not lead across the ends.
    """

    result: str
    cell: Index
    argument: str
    source: Index
    dim: str
    distance: int | None
    straight: int

    @property
    def text(self) -> str:
        """Which changes with which."""
        return f"{_at(self.result, self.cell)} changes with {_at(self.argument, self.source)}"


def reads_of(problem: Problem, argument: Argument, index: Index) -> Iterator[Read]:
    """What changes with one cell, compared along every dim that cuts the argument."""
    after = problem.run(with_changed(problem, mask_of(problem, [(argument.name, index)])))
    if after is None:
        return
    contract = problem.contract
    for part, old, new in zip(contract.results, problem.results, after, strict=True):
        cells = np.argwhere(differing(old, new))
        if not len(cells):
            continue
        axes = {axis.dim: axis for axis in cut_axes(contract, part)}
        for here in cut_axes(contract, argument):
            if here.dim in axes:
                yield from _extremes(problem, part, cells, argument, index, here, axes[here.dim])
            elif _must_have(contract, part, here.dim):
                cell = tuple(int(i) for i in cells[0])
                yield Read(part.name, cell, argument.name, index, here.dim, None, 0)


def _must_have(contract: Contract, part: Part, dim: str) -> bool:
    """Whether a result that has no block of a dim must not depend on it."""
    split = contract.split[dim]
    if isinstance(split, Pencil):
        return not any(isinstance(contract.split[a.dim], Pencil) for a in cut_axes(contract, part))
    return isinstance(split, Block)


def _extremes(
    problem: Problem,
    part: Part,
    cells: Array,
    argument: Argument,
    index: Index,
    here: CutAxis,
    there: CutAxis,
) -> Iterator[Read]:
    """The farthest reads down and up: by the declared way, by the straight and the shortest one."""
    dim = here.dim
    straight = (index[here.number] - here.origin) - (cells[:, there.number] - there.origin)
    distance = _declared_way(problem, dim, straight)
    extent = problem.sizes[dim]
    shortest = (straight + extent // 2) % extent - extent // 2
    for way in (distance, straight, shortest):
        for position in {int(np.argmin(way)), int(np.argmax(way))}:
            cell = tuple(int(i) for i in cells[position])
            gap, plain = int(distance[position]), int(straight[position])
            yield Read(part.name, cell, argument.name, index, dim, gap, plain)


def _declared_way(problem: Problem, dim: str, straight: Array) -> Array:
    """Distances on a periodic dim: the way within the halo, else the shortest."""
    block, extent = problem.contract.split[dim], problem.sizes[dim]
    if not isinstance(block, Block) or block.boundary is Boundary.FIXED:
        return straight
    low, high = (problem.steps * cells for cells in halo_of(block))
    within = (straight + low) % extent - low
    shortest = (straight + extent // 2) % extent - extent // 2
    is_near = (straight >= -low) & (straight <= high)
    return np.where(is_near, straight, np.where(within <= high, within, shortest))


def chosen_cells(
    contract: Contract, argument: Argument, problem: Problem, rng: np.random.Generator
) -> list[Index]:
    """Corners, edges and random cells of an argument."""
    shape = problem.inputs[argument.name].shape
    cut = {axis.number for axis in cut_axes(contract, argument)}
    ends = [(0, n - 1) if i in cut else (int(rng.integers(n)),) for i, n in enumerate(shape)]
    corners = [tuple(cell) for cell in product(*ends)]
    picked = [corners[i] for i in rng.permutation(len(corners))[: _CELLS // 3]]
    while len(picked) < _CELLS:
        cell = [int(rng.integers(n)) for n in shape]
        if len(picked) % 2:  # on an edge
            axis = int(rng.choice(sorted(cut)))
            cell[axis] = int(rng.choice((0, shape[axis] - 1)))
        picked.append(tuple(cell))
    return list(dict.fromkeys(picked))


def with_changed(problem: Problem, masks: Mapping[str, Array]) -> dict[str, Array]:
    """The arguments of which some cells, where a mask is true, have been given other values."""
    changed: dict[str, Array] = {}
    for name, mask in masks.items():
        array = problem.inputs[name]
        other = np.where(problem.others[name] == array, _moved(array), problem.others[name])
        if mask.any():
            changed[name] = np.where(mask, other, array).astype(array.dtype)
    return changed


def _moved(array: Array) -> Array:
    """Other values near these, for where another draw gives the same ones."""
    if array.dtype.kind == "b":
        return ~array
    if array.dtype.kind in "iu":
        return np.where(array > 0, array - 1, array + 1)
    moved: Array = 1.25 * array + (array == 0)
    return moved


def mask_of(problem: Problem, cells: Sequence[Cell]) -> dict[str, Array]:
    """Masks that are true at these cells."""
    masks: dict[str, Array] = {}
    for name, index in cells:
        shape = problem.inputs[name].shape
        masks.setdefault(name, np.zeros(shape, bool))[index] = True
    return masks


def differing(old: Array, new: Array) -> Array:
    """Where two results are not alike; NaN is like NaN."""
    same = old == new
    if old.dtype.kind in "fc":
        same |= np.isnan(old) & np.isnan(new)
    return np.asarray(~same)


def _at(name: str, index: Index) -> str:
    return f"{name}[{', '.join(map(str, index))}]"
