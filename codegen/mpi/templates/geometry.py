"""Which cells each rank owns, and which it needs."""

from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import NamedTuple

Box = tuple[tuple[int, int], ...]


class Axis(NamedTuple):
    """One axis of an array: `dim + constant` cells, cut over the places of dims of the grid."""

    dim: str
    constant: int
    over: tuple[str, ...]


class Reach(NamedTuple):
    """What a block of a dim needs: the dim of the grid that cuts it, and its ghost cells."""

    over: str
    low: int
    high: int
    wraps: bool


class Halo(NamedTuple):
    """What one step reads beyond a block of a dim, and what of it axes such as `y+4` carry."""

    over: str
    low: int = 0
    high: int = 0
    carried_low: int = 0
    carried_high: int = 0
    wraps: bool = False

    def reach(self, steps: int) -> Reach:
        """Ghost cells that are good for so many steps."""
        low = max(0, steps * self.low - self.carried_low)
        high = max(0, steps * self.high - self.carried_high)
        return Reach(self.over, low, high, self.wraps)


def block(extent: int, parts: int, place: int) -> tuple[int, int]:
    """One of balanced blocks; the first extent % parts of them are one cell longer."""
    size, longer = divmod(extent, parts)
    start = place * size + min(place, longer)
    return start, start + size + (place < longer)


def blocks(extent: int, parts: int) -> list[tuple[int, int]]:
    """All balanced blocks."""
    return [block(extent, parts, place) for place in range(parts)]


def axis_block(extent: int, constant: int, parts: int, place: int) -> tuple[int, int]:
    """The cells of an axis `dim + constant` that belong to one block of the dim."""
    length, shift = extent + constant, constant // 2
    start, end = block(extent, parts, place)
    if extent == 0:
        return 0, length if place == 0 else 0
    if start == end:
        return length, length
    first = 0 if start == 0 else min(max(start + shift, 0), length)
    return first, length if end == extent else min(max(end + shift, 0), length)


def grids(dims: tuple[str, ...], ranks: int) -> Iterator[dict[str, int]]:
    """All ways to lay a number of ranks out over these dims."""
    if len(dims) == 1:
        yield {dims[0]: ranks}
        return
    for parts in range(1, ranks + 1):
        if ranks % parts == 0:
            for rest in grids(dims[1:], ranks // parts):
                yield {dims[0]: parts, **rest}


def default_grid(dims: tuple[str, ...], sizes: dict[str, int], ranks: int) -> dict[str, int]:
    """The grid with the fewest empty blocks, then the most cubic, then one that cuts early dims."""

    def cost(grid: dict[str, int]) -> tuple[int, int, tuple[int, ...]]:
        used = prod(min(parts, sizes[dim]) for dim, parts in grid.items())
        return -used, sum(grid.values()), tuple(-parts for parts in grid.values())

    return min(grids(dims, ranks), key=cost)


class Geometry:
    """Own cells and needed cells of every rank; all ranks compute the same.

    A rank's local problem is its own block of every cut dim with ghost cells around, within fixed
    ends. Where that would not fit, it is the whole dim.
    """

    def __init__(
        self,
        grid: dict[str, int],
        sizes: dict[str, int],
        reach: dict[str, Reach],
        fits: Callable[[dict[str, int]], bool],
    ) -> None:
        self.grid, self.sizes, self.reach = grid, sizes, reach
        self.ranks = prod(grid.values())
        self.regions = {dim: self._regions(dim) for dim in reach}
        extents = [sorted({end - start for start, end in r}) for r in self.regions.values()]
        local = (dict(zip(self.regions, found, strict=True)) for found in product(*extents))
        if not all(fits({**sizes, **own}) for own in local):
            self.regions = {dim: [(0, sizes[dim])] * len(r) for dim, r in self.regions.items()}
        self.is_whole = all(
            region == (0, sizes[dim]) for dim, found in self.regions.items() for region in found
        )

    def _regions(self, dim: str) -> list[tuple[int, int]]:
        """The cells of a dim that each place of the grid computes on."""
        reach, extent = self.reach[dim], self.sizes[dim]
        parts = self.grid[reach.over]
        filled = blocks(extent, parts)[: max(1, min(parts, extent))]
        if reach.wraps:
            found = [(start - reach.low, end + reach.high) for start, end in filled]
            if len(filled) == 1 or any(end - start >= extent for start, end in found):
                found = [(0, extent)] * len(filled)
        else:
            found = [
                (max(start - reach.low, 0), min(end + reach.high, extent)) for start, end in filled
            ]
        return found + found[-1:] * (parts - len(filled))

    def coordinates(self, rank: int) -> dict[str, int]:
        """Place of a rank along every dim of the grid; ranks are row-major."""
        found = {}
        for dim, parts in reversed(list(self.grid.items())):
            rank, found[dim] = divmod(rank, parts)
        return found

    def local_sizes(self, rank: int) -> dict[str, int]:
        """Sizes of a rank's local problem."""
        found = {dim: self.region(dim, rank) for dim in self.regions}
        return {**self.sizes, **{dim: end - start for dim, (start, end) in found.items()}}

    def is_idle(self, rank: int) -> bool:
        """Whether a rank has nothing to compute, since there are more ranks than cells."""
        at = self.coordinates(rank)
        return any(
            at[reach.over] >= max(1, min(self.grid[reach.over], self.sizes[dim]))
            for dim, reach in self.reach.items()
        )

    def region(self, dim: str, rank: int) -> tuple[int, int]:
        """First cell and end of a rank's local problem along a dim."""
        return self.regions[dim][self.coordinates(rank)[self.reach[dim].over]]

    def own(self, axes: tuple[Axis, ...], rank: int) -> Box:
        """The cells of an array that a rank owns."""
        at = self.coordinates(rank)
        box = []
        for dim, constant, over in axes:
            place, parts = 0, 1
            for other in over:
                place = place * self.grid[other] + at[other]
                parts *= self.grid[other]
            box.append(axis_block(self.sizes.get(dim, 0), constant, parts, place))
        return tuple(box)

    def needed(self, axes: tuple[Axis, ...], rank: int) -> Box:
        """The cells of an array in a rank's local problem; below 0 where the dim wraps round."""
        if self.is_idle(rank):
            return self.own(axes, rank)
        box = []
        for dim, constant, _ in axes:
            whole = (0, self.sizes.get(dim, 0))
            start, end = self.region(dim, rank) if dim in self.regions else whole
            box.append((start, end + constant))
        return tuple(box)
