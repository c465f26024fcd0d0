"""Which cells go from which rank to which."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from outpace.codegen.mpi.templates.geometry import Axis, Box, Geometry


class Message(NamedTuple):
    """Cells of one array that go to, or come from, another rank."""

    array: int
    peer: int
    tag: int
    box: Box


def overlap(one: Box, other: Box) -> Box | None:
    """The common cells of two boxes, or None."""
    box = []
    for (a, b), (c, d) in zip(one, other, strict=True):
        if max(a, c) >= min(b, d):
            return None
        box.append((max(a, c), min(b, d)))
    return tuple(box)


def shifted(box: Box, shift: tuple[int, ...]) -> Box:
    """A box moved along every axis."""
    return tuple((start + by, end + by) for (start, end), by in zip(box, shift, strict=True))


def cells_of(box: Box, corner: Box) -> tuple[slice, ...]:
    """A box as slices of an array whose first cell is that of another box."""
    starts = [first for first, _ in corner]
    return tuple(slice(a - s, b - s) for (a, b), s in zip(box, starts, strict=True))


def shape_of(box: Box) -> tuple[int, ...]:
    """Extents of a box."""
    return tuple(end - start for start, end in box)


class Phase:
    """Exchanges of the arrays along one axis, or along all at once (`along` is None).

    Exchanged one axis after another, ghost cells at corners come with those of the later axes.
    """

    def __init__(
        self, geometry: Geometry, arrays: list[tuple[Axis, ...]], along: str | None
    ) -> None:
        self.geometry, self.arrays, self.along = geometry, arrays, along

    def received(self, rank: int) -> list[Message]:
        """What a rank receives; boxes are in its own coordinates."""
        found = []
        for array, axes in enumerate(self.arrays):
            wanted = self._wanted(axes, rank)
            for peer in self._peers(axes, rank):
                common = self._common(array, axes, wanted, self._had(axes, peer))
                found += [Message(array, peer, tag, box) for tag, box, _ in common]
        return found

    def sent(self, rank: int) -> list[Message]:
        """What a rank sends; boxes are in its own coordinates."""
        found = []
        for array, axes in enumerate(self.arrays):
            had = self._had(axes, rank)
            for peer in self._peers(axes, rank):
                for tag, box, shift in self._common(array, axes, self._wanted(axes, peer), had):
                    here = shifted(box, tuple(-by for by in shift))
                    found.append(Message(array, peer, tag, here))
        return found

    def _peers(self, axes: tuple[Axis, ...], rank: int) -> list[int]:
        """Other ranks at the same place along every dim that does not matter for an array."""
        matter = {dim for axis in axes for dim in axis.over}
        if self.along is not None:
            matter &= {self.along}
        at = self.geometry.coordinates(rank)
        places = [
            range(parts) if dim in matter else [at[dim]]
            for dim, parts in self.geometry.grid.items()
        ]
        found = []
        for place in product(*places):
            peer = 0
            for here, parts in zip(place, self.geometry.grid.values(), strict=True):
                peer = peer * parts + here
            found.append(peer)
        return [peer for peer in found if peer != rank]

    def _common(
        self, array: int, axes: tuple[Axis, ...], wanted: Box, had: Box
    ) -> Iterator[tuple[int, Box, tuple[int, ...]]]:
        """Tag, box and shift of each message from a rank that has cells to one that wants some."""
        images = [self._images(axis, span) for axis, span in zip(axes, wanted, strict=True)]
        for image in product(*images):
            extents = [self.geometry.sizes.get(axis.dim, 0) for axis in axes]
            shift = tuple(by * extent for by, extent in zip(image, extents, strict=True))
            box = overlap(wanted, shifted(had, shift))
            if box is not None:
                tag = array
                for by in image:
                    tag = tag * 3 + by + 1
                yield tag, box, shift

    def _images(self, axis: Axis, span: tuple[int, int]) -> list[int]:
        """By how many extents owners are moved so that a needed span finds them."""
        reach = self.geometry.reach.get(axis.dim)
        if reach is None or not reach.wraps:
            return [0]
        extent = self.geometry.sizes[axis.dim]
        return [0, *([-1] if span[0] < 0 else []), *([1] if span[1] > extent else [])]

    def _wanted(self, axes: tuple[Axis, ...], rank: int) -> Box:
        """Cells to have after this phase."""
        if self.along is None:
            return self.geometry.needed(axes, rank)
        return self._mixed(axes, rank, list(self.geometry.grid).index(self.along) + 1)

    def _had(self, axes: tuple[Axis, ...], rank: int) -> Box:
        """Cells that are there before this phase."""
        if self.along is None:
            return self.geometry.own(axes, rank)
        return self._mixed(axes, rank, list(self.geometry.grid).index(self.along))

    def _mixed(self, axes: tuple[Axis, ...], rank: int, done: int) -> Box:
        """Needed cells along the dims that are done, own cells along the others."""
        exchanged = set(list(self.geometry.grid)[:done])
        own, needed = self.geometry.own(axes, rank), self.geometry.needed(axes, rank)
        return tuple(
            full if exchanged & set(axis.over) else mine
            for axis, full, mine in zip(axes, needed, own, strict=True)
        )
