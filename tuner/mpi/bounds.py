"""How many bytes a rank has to receive, by the contract's annotation alone.

With the halo, one step along a dim of blocks reads `low` and `high` cells beyond a rank's own. A
rank may receive a few times what that makes over all steps: deep halos overlap at corners, and
collectives pass on what others need. A rank that is sent everything exceeds it at the sizes at
which it is held.
"""

from __future__ import annotations

from math import ceil, log2, prod

import numpy as np

from outpace.codegen.dims import parse_dim, shape_of
from outpace.codegen.mpi.layout import Layout, Part
from outpace.split import Block, Boundary, Pencil, Ring
from outpace.tuner.mpi.questions import halo_of

_SLACK = 3
_TURNS = 2
"""How often a rank may receive as much as it owns of arrays that are transposed."""
_MOST = 0.75
"""Share of what a rank does not own that it may receive, where it needs less than half of it."""
_SMALL = 1024
"""Bytes of sizes, counts and flags that any program may exchange."""


def most_received(layout: Layout, rank: int) -> int:
    """Bytes that a rank may receive in one call."""
    contract = layout.contract
    steps = 1
    if contract.steps is not None:
        steps = max(1, layout.global_sizes[contract.steps])
    arrays = [part for part in contract.arguments if part.is_array]
    inputs = sum(_of_input(layout, part, rank, steps) for part in arrays)
    gathered = sum(_gathered(layout, part) for part in contract.results)
    transposed = sum(_transposed(layout, part, rank) for part in contract.parts)
    return _SMALL + inputs + _SLACK * gathered + _TURNS * transposed


def _of_input(layout: Layout, part: Part, rank: int, steps: int) -> int:
    """Bytes of an input that a rank may receive in so many steps."""
    needed = _needed(layout, part, rank) * steps
    whole = prod(shape_of(part.dims or (), layout.global_sizes))
    others = (whole - prod(layout.shape(part, rank))) * np.dtype(part.dtype).itemsize
    most = _SLACK * needed
    return most if 2 * needed > others else min(most, int(_MOST * others))


def _needed(layout: Layout, part: Part, rank: int) -> int:
    """Bytes of an input that one step reads beyond what the rank owns."""
    split = layout.contract.split
    own = layout.own(part, rank)
    padded: list[int] = []
    for dim, cells in zip(part.dims or (), own, strict=True):
        names = [name for name in parse_dim(dim).names if name in split]
        extent = parse_dim(dim).evaluate(layout.global_sizes)
        kind = split[names[0]] if names else None
        length = cells.stop - cells.start
        if isinstance(kind, Ring) or (names and not _is_kept(layout, names[0])):
            length = extent
        elif isinstance(kind, Block) and length < extent:
            low, high = halo_of(kind)
            # An axis such as `y+4` has its ring of ghost cells inside the array.
            within = parse_dim(dim).constant
            length += low + high + within
            if kind.boundary is Boundary.FIXED:
                length = min(length, extent)
        padded.append(length)
    beyond = prod(padded) - prod(layout.shape(part, rank))
    return max(0, beyond) * np.dtype(part.dtype).itemsize


def _is_kept(layout: Layout, dim: str) -> bool:
    """Whether a result mentions a dim; what it does not mention is summed over."""
    contract = layout.contract
    kept = {n for p in contract.results for text in p.dims or () for n in parse_dim(text).names}
    return dim in kept or bool(contract.reduce)


def _gathered(layout: Layout, part: Part) -> int:
    """Bytes to make a result that every rank must hold whole, from one contribution of each."""
    if layout.is_distributed(part):
        return 0
    whole = prod(layout.shape(part, 0)) * np.dtype(part.dtype).itemsize
    return whole * (layout.ranks + ceil(log2(max(layout.ranks, 2))))


def _transposed(layout: Layout, part: Part, rank: int) -> int:
    """Bytes of a part that is cut along another dim for a while."""
    split = layout.contract.split
    if not any(
        isinstance(split.get(n), Pencil) for t in part.dims or () for n in parse_dim(t).names
    ):
        return 0
    return prod(layout.shape(part, rank)) * np.dtype(part.dtype).itemsize
