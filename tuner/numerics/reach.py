"""Checks that a declared halo covers what one application of a reference reads.

`split={"y": Block(halo=1)}` promises that cell i of every result depends, along `y`, on cells i - 1
to i + 1 of every input. Planes of the inputs are redrawn one at a time, and the cells of the
results that change are located. Int arguments that are no dims (step counts) are set to 1, because
the promise is about one application.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from outpace.codegen.contract import size_names
from outpace.codegen.dims import parse_dim, shape_of
from outpace.codegen.domain import allows
from outpace.codegen.inputs import MAX_ELEMENTS, Case, draw_inputs
from outpace.errors import ContractError
from outpace.model import Argument, Block, Contract, Output
from outpace.tuner.numerics.oracle import Oracle

Array = np.ndarray[Any, Any]

_EXTENTS = (13, 16, 9, 17, 8, 23, 32, 33, 7, 5, 64)
_OTHERS = (4, 3, 2, 1)


@dataclass(frozen=True)
class _Axis:
    """Where a dim lies in an array: axis number and the constant of `dim + constant`."""

    number: int
    extra: int


@dataclass(frozen=True)
class _Run:
    """A run of the reference, and other values for its inputs."""

    sizes: dict[str, int]
    inputs: dict[str, Any]
    others: dict[str, Any]
    results: list[Array]


@dataclass(frozen=True)
class _Read:
    """A cell of a result that depends on the cell `distance` further along in an argument."""

    result: str
    cell: int
    argument: str
    distance: int


def refuse_small_halos(oracle: Oracle, seed: int) -> tuple[str, ...]:
    """Measure the reach along every split dim.

    Neighbours across the ends of a dim (periodic boundaries) count as neighbours.

    Returns:
        Notes for a person; one when nothing could be measured.

    Raises:
        ContractError: A halo is smaller than the reach; names the dim, both numbers and the cells.
    """
    if not oracle.contract.split:
        return ()
    for sizes in _candidate_sizes(oracle.contract):
        cases = (Case(sizes, seed), Case(sizes, seed + 1))
        try:
            inputs, others = (draw_inputs(oracle.reference, case) for case in cases)
            results = oracle.native(inputs, sizes)
        except ContractError:
            raise
        except Exception:  # noqa: BLE001, S112  (the reference raises at this size; try another)
            continue
        for dim, block in oracle.contract.split.items():
            _check_dim(oracle, dim, block, _Run(sizes, inputs, others, results))
        return ()
    return ("the halos of split= were not checked: the reference runs at no small size",)


def _candidate_sizes(contract: Contract) -> Iterator[dict[str, int]]:
    """Small sizes inside the domain, wide enough along the split dims to see past their halos."""
    used = set(_dim_names(contract.arguments)) | set(_dim_names(contract.outputs))
    widest = max(sum(_halo(block)) for block in contract.split.values())
    for extent in _EXTENTS:
        if extent < widest + 3:
            continue
        for other in (extent, *_OTHERS):
            sizes = {
                name: extent if name in contract.split else other if name in used else 1
                for name in size_names(contract)
            }
            if allows(contract, sizes) and _is_small(contract, sizes):
                yield sizes


def _dim_names(parts: Sequence[Argument] | Sequence[Output]) -> list[str]:
    return [name for part in parts for dim in part.dims or () for name in parse_dim(dim).names]


def _is_small(contract: Contract, sizes: Mapping[str, int]) -> bool:
    shapes = [shape_of(argument.dims or (), sizes) for argument in contract.arguments]
    shapes += [shape_of(output.dims, sizes) for output in contract.outputs]
    return max(int(np.prod(shape)) for shape in shapes) <= MAX_ELEMENTS


def _halo(block: Block) -> tuple[int, int]:
    return (block.halo, block.halo) if isinstance(block.halo, int) else block.halo


def _axis(part: Argument | Output, dim: str) -> _Axis | None:
    """The only axis that follows a dim, None if there is none or it is not that simple."""
    found = [(i, parse_dim(text)) for i, text in enumerate(part.dims or ())]
    along = [(i, a) for i, a in found if dim in a.names]
    if len(along) != 1 or along[0][1].terms != ((dim, 1),):
        return None
    return _Axis(along[0][0], along[0][1].constant)


def _check_dim(oracle: Oracle, dim: str, block: Block, run: _Run) -> None:
    """Refuse a halo that does not cover every dependence found along one dim."""
    reads = [read for read in _reads(oracle, dim, run) if not _within(read.distance, _halo(block))]
    if not reads:
        return
    low, high = _halo(block)
    low = max(low, *(-read.distance for read in reads))
    high = max(high, *(read.distance for read in reads))
    worst = max(reads, key=lambda read: abs(read.distance))
    raise ContractError(
        f"split[{dim!r}] declares halo={block.halo}, but {worst.result} at {dim}={worst.cell} "
        f"depends on {worst.argument} at {dim}={worst.cell + worst.distance}; write "
        f"Block(halo={low if low == high else (low, high)}), or leave {dim!r} out of split"
    )


def _within(distance: int, halo: tuple[int, int]) -> bool:
    return -halo[0] <= distance <= halo[1]


def _reads(oracle: Oracle, dim: str, run: _Run) -> Iterator[_Read]:
    """Which cells of the results change when a plane of an input does."""
    contract = oracle.contract
    halo = _halo(contract.split[dim])
    for argument in contract.arguments:
        axis = _axis(argument, dim)
        if axis is None:
            continue
        extent = run.inputs[argument.name].shape[axis.number]
        for plane in sorted({0, extent // 2, extent - 1}):
            again = _rerun(oracle, run, argument.name, (*([slice(None)] * axis.number), plane))
            for part, before, after in zip(contract.results, run.results, again, strict=False):
                out = _axis(part, dim)
                if out is None:
                    continue
                origin = _origin(axis.extra - out.extra, halo)
                around = extent if axis.extra == out.extra else 0
                for cell in _changed_cells(before, after, out.number):
                    distance = _nearest(plane - origin - cell, around, halo)
                    yield _Read(part.name, cell, argument.name, distance)


def _rerun(oracle: Oracle, run: _Run, name: str, plane: tuple[Any, ...]) -> list[Array]:
    """Results after a plane of one input was redrawn; none where the reference then raises."""
    changed = run.inputs[name].copy()
    changed[plane] = run.others[name][plane]
    try:
        return oracle.native({**run.inputs, name: changed}, run.sizes)
    except Exception:  # noqa: BLE001  (mixed values may lie outside the domain)
        return []


def _origin(longer: int, halo: tuple[int, int]) -> int:
    """Cell of an array that lies at cell 0 of a result which is shorter by `longer` cells.

    A padded array carries its halo with it; another difference is split evenly.
    """
    return halo[0] if longer == sum(halo) else longer // 2


def _nearest(distance: int, around: int, halo: tuple[int, int]) -> int:
    """The distance, or the one across the ends of the dim if only that is within the halo."""
    ways = (distance, distance - around, distance + around)
    return next((way for way in ways if _within(way, halo)), min(ways, key=abs))


def _changed_cells(before: Array, after: Array, axis: int) -> list[int]:
    same = before == after
    if before.dtype.kind in "fc":
        same |= np.isnan(before) & np.isnan(after)
    others = tuple(i for i in range(same.ndim) if i != axis)
    return [int(i) for i in np.flatnonzero(~np.all(same, axis=others))]
