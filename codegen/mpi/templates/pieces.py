"""The block of a rank in pieces: a middle that needs no ghost cells, and strips around it."""

from collections.abc import Callable
from typing import NamedTuple

from outpace.codegen.mpi.templates.geometry import Axis, Box, Geometry, Reach

Span = tuple[int, int]
Ranges = dict[str, Span]


class Piece(NamedTuple):
    """Ranges of the cut dims on which the kernel runs, and what is right and kept of them."""

    run: Ranges
    kept: Ranges


class Sides(NamedTuple):
    """Cells of one dim: owned, computed, computable without ghost cells, and right after that."""

    own: Span
    outer: Span
    inner: Span
    middle: Span
    reach: Reach

    @property
    def is_small(self) -> bool:
        """Whether there is too little between the strips."""
        least = max(1, self.reach.low, self.reach.high)
        return self.middle[1] - self.middle[0] < least

    @property
    def strips(self) -> list[tuple[Span, Span]]:
        """What is computed and what is kept at both ends."""
        (start, end), (first, last), (a, b) = self.own, self.outer, self.middle
        found = []
        if a > start:
            found.append(((first, min(a + self.reach.high, last)), (start, a)))
        if b < end:
            found.append(((max(b - self.reach.low, first), last), (b, end)))
        return found


def pieces_of(
    geometry: Geometry,
    rank: int,
    spare: dict[str, int],
    fits: Callable[[dict[str, int]], bool],
) -> list[Piece]:
    """The middle, then the strips; nothing where there are no strips, or the block is too small.

    Args:
        geometry: Of the whole problem.
        rank: Of which rank.
        spare: For each cut dim, by how many cells an axis such as `y+4` is longer.
        fits: Whether the kernel is made for a problem of these sizes.
    """
    cut = [dim for dim in geometry.reach if geometry.grid[dim] > 1]
    sides = {dim: sides_of(geometry, rank, dim, spare[dim]) for dim in cut}
    if not cut or geometry.is_whole or any(s.is_small for s in sides.values()):
        return []
    pieces = [
        Piece({d: s.inner for d, s in sides.items()}, {d: s.middle for d, s in sides.items()})
    ]
    for position, dim in enumerate(cut):
        run = {d: s.inner if d in cut[:position] else s.outer for d, s in sides.items()}
        kept = {d: s.middle if d in cut[:position] else s.own for d, s in sides.items()}
        pieces += [Piece({**run, dim: r}, {**kept, dim: k}) for r, k in sides[dim].strips]
    sizes = geometry.local_sizes(rank)
    small = any(not fits({**sizes, **extents(piece.run)}) for piece in pieces)
    return [] if small or len(pieces) == 1 else pieces


def sides_of(geometry: Geometry, rank: int, dim: str, spare: int) -> Sides:
    """How a rank's block of a dim falls into a middle and strips."""
    reach = geometry.reach[dim]
    start, end = geometry.own((Axis(dim, 0, (dim,)),), rank)[0]
    low = high = below = above = 0
    if start > 0 or reach.wraps:  # else the block begins at a true edge
        low, below = spare // 2, reach.low
    if end < geometry.sizes[dim] or reach.wraps:
        high, above = spare - spare // 2, reach.high
    return Sides(
        (start, end),
        geometry.region(dim, rank),
        (start + low, end - high),
        (start + low + below, end - high - above),
        reach,
    )


def extents(ranges: Ranges) -> dict[str, int]:
    """Numbers of cells."""
    return {dim: end - start for dim, (start, end) in ranges.items()}


def box_of(axes: tuple[Axis, ...], ranges: Ranges, whole: Box) -> Box:
    """The cells of an array that belong to ranges of the cut dims."""
    return tuple(
        (ranges[axis.dim][0], ranges[axis.dim][1] + axis.constant) if axis.dim in ranges else span
        for axis, span in zip(axes, whole, strict=True)
    )
