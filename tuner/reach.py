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
from outpace.tuner.oracle import Oracle

Array = np.ndarray[Any, Any]

_EXTENTS = (13, 16, 9, 17, 8, 23, 32, 33, 7, 5, 64)
_OTHERS = (4, 3, 2, 1)


@dataclass(frozen=True)
class _Axis:
    """Where a dim lies in an array: axis number and the constant of `dim + constant`."""

    number: int
    extra: int


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
            _check_dim(oracle, dim, block, (sizes, inputs, others, results))
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


def _check_dim(
    oracle: Oracle,
    dim: str,
    block: Block,
    run: tuple[dict[str, int], dict[str, Any], dict[str, Any], list[Array]],
) -> None:
    sizes, inputs, others, results = run
    for argument in oracle.contract.arguments:
        axis = _axis(argument, dim)
        if axis is None:
            continue
        extent = inputs[argument.name].shape[axis.number]
        for cell in sorted({0, extent // 2, extent - 1}):
            changed = dict(inputs)
            changed[argument.name] = inputs[argument.name].copy()
            plane = (*([slice(None)] * axis.number), cell)
            changed[argument.name][plane] = others[argument.name][plane]
            try:
                again = oracle.native(changed, sizes)
            except Exception:  # noqa: BLE001, S112  (mixed values may lie outside the domain)
                continue
            for part, before, after in zip(oracle.contract.results, results, again, strict=True):
                out = _axis(part, dim)
                if out is not None:
                    cells = _changed_cells(before, after, out.number)
                    _refuse_far((dim, block), (argument, axis, cell), (part, out, cells), extent)


def _changed_cells(before: Array, after: Array, axis: int) -> list[int]:
    same = before == after
    if before.dtype.kind in "fc":
        same |= np.isnan(before) & np.isnan(after)
    others = tuple(i for i in range(same.ndim) if i != axis)
    return [int(i) for i in np.flatnonzero(~np.all(same, axis=others))]


def _refuse_far(
    declared: tuple[str, Block],
    source: tuple[Argument, _Axis, int],
    target: tuple[Argument | Output, _Axis, list[int]],
    extent: int,
) -> None:
    """Refuse a changed cell that lies outside the halo.

    An array that is longer than the result carries its halo with it: its cell 0 lies as many cells
    before the result's cell 0 as it has halo cells on the low side.
    """
    (dim, block), (argument, axis, cell), (part, out, cells) = declared, source, target
    low, high = _halo(block)
    longer = axis.extra - out.extra
    origin = low if longer == low + high else longer // 2
    needed = (low, high)
    worst = None
    for i in cells:
        distances = [cell - origin - i]
        if longer == 0:
            distances += [distances[0] - extent, distances[0] + extent]
        distance = min(distances, key=lambda d: max(-d - low, d - high))
        if distance < -needed[0] or distance > needed[1]:
            needed = (max(needed[0], -distance), max(needed[1], distance))
            worst = i
    if worst is not None:
        found = needed[0] if needed[0] == needed[1] else needed
        raise ContractError(
            f"split[{dim!r}] declares halo={block.halo}, but {part.name} at {dim}={worst} depends "
            f"on {argument.name} at {dim}={cell - origin}; write Block(halo={found}), or leave "
            f"{dim!r} out of split"
        )
