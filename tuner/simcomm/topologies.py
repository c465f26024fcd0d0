"""Who is next to whom: grids, and graphs that the ranks describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from outpace.tuner.simcomm.status import PROC_NULL


@dataclass(frozen=True)
class Edges:
    """The neighbours of one rank.

    Attributes:
        sources: From whom it receives, with the position of this rank among that one's
            destinations; PROC_NULL for nobody.
        destinations: To whom it sends.
    """

    sources: tuple[tuple[int, int], ...]
    destinations: tuple[int, ...]


@dataclass(frozen=True)
class Grid:
    """Ranks on a grid, the last dim running fastest.

    Attributes:
        dims: Ranks along each dim.
        periods: Whether a dim's ends are neighbours.
    """

    dims: tuple[int, ...]
    periods: tuple[bool, ...]

    def coordinates(self, rank: int) -> list[int]:
        """Of a rank."""
        return [int(i) for i in np.unravel_index(rank, self.dims)] if self.dims else []

    def rank(self, coordinates: Sequence[int]) -> int:
        """At coordinates, wrapped where the dim is periodic; PROC_NULL outside."""
        wrapped = []
        for at, extent, wraps in zip(coordinates, self.dims, self.periods, strict=True):
            if not (wraps or 0 <= at < extent):
                return PROC_NULL
            wrapped.append(at % extent)
        return int(np.ravel_multi_index(wrapped, self.dims)) if self.dims else 0

    def shifted(self, rank: int, direction: int, steps: int) -> int:
        """The rank some steps further along a dim."""
        at = self.coordinates(rank)
        at[direction] += steps
        return self.rank(at)

    def edges(self) -> list[Edges]:
        """Of every rank, its neighbours below and above along each dim.

        What goes down along a dim arrives from above.
        """
        found = []
        for rank in range(prod(self.dims)):
            steps = [(axis, step) for axis in range(len(self.dims)) for step in (-1, 1)]
            peers = [self.shifted(rank, axis, step) for axis, step in steps]
            positions = [2 * axis + (step < 0) for axis, step in steps]
            found.append(Edges(tuple(zip(peers, positions, strict=True)), tuple(peers)))
        return found


def wired(neighbours: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Edges]:
    """The edges of a graph of which every rank has named its sources and its destinations.

    Where one rank sends to another several times, the first goes to the first.

    Raises:
        ValueError: A rank expects what another does not send, or sends what it does not expect.
    """
    edges = []
    for rank, (sources, destinations) in enumerate(neighbours):
        for peer in {*sources, *destinations}:
            _check_alike(neighbours, rank, peer)
        found = []
        for at, source in enumerate(sources):
            nth = list(sources[:at]).count(source)
            positions = [i for i, dest in enumerate(neighbours[source][1]) if dest == rank]
            found.append((source, positions[nth]))
        edges.append(Edges(tuple(found), tuple(destinations)))
    return edges


def _check_alike(
    neighbours: Sequence[tuple[Sequence[int], Sequence[int]]], rank: int, peer: int
) -> None:
    if not 0 <= peer < len(neighbours):
        raise ValueError(f"rank {rank} names {peer}, which is no rank")
    for source, dest in ((rank, peer), (peer, rank)):
        sent = list(neighbours[source][1]).count(dest)
        expected = list(neighbours[dest][0]).count(source)
        if sent != expected:
            raise ValueError(
                f"rank {source} sends to rank {dest} {sent} times, which expects {expected}"
            )


def compute_dims(ranks: int, dims: int | Sequence[int]) -> list[int]:
    """Factors of a number of ranks as near to each other as can be, in falling order.

    Args:
        ranks: Their product.
        dims: How many factors, or a list of them in which 0 is to be found.

    Raises:
        ValueError: The given factors do not divide the ranks.
    """
    given = [0] * dims if isinstance(dims, int) else [int(extent) for extent in dims]
    fixed = prod(extent for extent in given if extent)
    if ranks % fixed:
        raise ValueError(f"MPI_Dims_create: {given} do not divide {ranks} ranks")
    found = iter(_balanced(ranks // fixed, given.count(0)))
    return [extent or next(found) for extent in given]


def _balanced(number: int, count: int, most: int | None = None) -> list[int]:
    """So many factors in falling order, the largest as small as possible, then the next."""
    if count == 0:
        return []
    if count == 1:
        return [number]
    for first in range(1, number + 1):
        if number % first == 0 and first**count >= number and (most is None or first <= most):
            rest = _balanced(number // first, count - 1, first)
            if max(rest) <= first:
                return [first, *rest]
    return [number] + [1] * (count - 1)
