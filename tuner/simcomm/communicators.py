"""Communicators as a program holds them: made from others, with and without a topology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

import numpy as np

from outpace.tuner.simcomm.context import Context, Handle
from outpace.tuner.simcomm.faults import RankFailed
from outpace.tuner.simcomm.joining import Exchange, Pattern
from outpace.tuner.simcomm.neighbours import NeighbourCollectives
from outpace.tuner.simcomm.status import PROC_NULL, UNDEFINED


class NullComm:
    """COMM_NULL: of ranks that are outside."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MPI.COMM_NULL"


COMM_NULL = NullComm()


class Comm(NeighbourCollectives):
    """A communicator."""

    is_intra = True
    is_inter = False

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Handle):
            return NotImplemented
        return self.context is other.context

    def __hash__(self) -> int:
        return id(self.context)

    def Get_name(self) -> str:
        return self.name

    def Set_name(self, name: str) -> None:
        self.name = name

    def Is_inter(self) -> bool:
        return False

    def Is_intra(self) -> bool:
        return True

    def Get_topology(self) -> int:
        return UNDEFINED

    def Set_errhandler(self, errhandler: Any) -> None:
        """Faults end the simulation whatever the handler."""

    def Free(self) -> None:
        self.enter("Free()")
        self._freed = True

    def Abort(self, errorcode: int = 0) -> NoReturn:
        call = self.enter(f"Abort({errorcode})")
        self._simulation.fail(RankFailed("the program called Abort", call=call))

    def Dup(self) -> Any:
        return self._made("Dup", lambda context: self._alike(context, self._rank))

    Clone = Dup

    def Split(self, color: int = 0, key: int = 0) -> Any:
        def take(result: tuple[Context, int] | None) -> Any:
            return COMM_NULL if result is None else Comm(*result)

        give = (color, key)
        exchange = Exchange("Split", Pattern.SPREAD, give, self._grouped, take)
        return self.complete("Split", lambda: exchange)

    def Split_type(self, split_type: int, key: int = 0, info: Any = None) -> Any:
        """Every rank is on one machine."""
        del info
        return self.Split(0 if split_type == COMM_TYPE_SHARED else UNDEFINED, key)

    def Create_cart(
        self, dims: Sequence[int], periods: Sequence[bool] | None = None, reorder: bool = False
    ) -> Any:
        """A grid of ranks, row-major; `reorder` changes nothing."""
        del reorder
        extents = tuple(int(extent) for extent in dims)
        wraps = tuple(map(bool, periods)) if periods is not None else (False,) * len(extents)
        grid = Grid(extents, wraps)
        if prod(extents) > self.size or any(extent < 1 for extent in extents):
            self.enter(f"Create_cart({list(extents)})")
            self.reject(f"a grid of {list(extents)} does not fit {self.size} ranks")

        def combine(gives: list[Any]) -> Sequence[Any]:
            inside = self.context.members[: prod(extents)]
            context = Context(self._simulation, inside, grid.edges())
            return [context if i < len(inside) else None for i in range(len(gives))]

        def take(context: Context | None) -> Any:
            return COMM_NULL if context is None else Cartcomm(context, self._rank, grid)

        agree = {"dims": list(extents), "periods": list(wraps)}
        exchange = Exchange("Create_cart", Pattern.SPREAD, None, combine, take, agree)
        return self.complete("Create_cart", lambda: exchange)

    def _alike(self, context: Context, rank: int) -> Comm:
        """A communicator of the kind of this one."""
        return Comm(context, rank)

    def _made(self, name: str, make: Any) -> Any:
        """A new communicator of the same ranks."""

        def combine(gives: list[Any]) -> Sequence[Any]:
            ours = self.context
            return [Context(self._simulation, ours.members, ours.edges)] * len(gives)

        exchange = Exchange(name, Pattern.SPREAD, None, combine, make)
        return self.complete(name, lambda: exchange)

    def _grouped(self, gives: list[Any]) -> Sequence[Any]:
        """The new context and rank of every member, by colour and then by key."""
        results: list[tuple[Context, int] | None] = [None] * len(gives)
        for color in sorted({color for color, _ in gives if color != UNDEFINED}):
            inside = sorted((key, i) for i, (own, key) in enumerate(gives) if own == color)
            members = [self.context.members[i] for _, i in inside]
            context = Context(self._simulation, members)
            for rank, (_, i) in enumerate(inside):
                results[i] = (context, rank)
        return results


Intracomm = Comm
COMM_TYPE_SHARED = 1
CART = 1


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

    def edges(self) -> list[list[tuple[int, int]]]:
        """Of every rank, its neighbours below and above along each dim.

        With each, the position that this rank has among that one's neighbours: what goes down
        along a dim arrives from above.
        """
        return [
            [
                (self.shifted(rank, axis, step), 2 * axis + (step < 0))
                for axis in range(len(self.dims))
                for step in (-1, 1)
            ]
            for rank in range(prod(self.dims))
        ]


class Cartcomm(Comm):
    """A communicator whose ranks form a grid."""

    def __init__(self, context: Context, rank: int, grid: Grid) -> None:
        super().__init__(context, rank)
        self._grid = grid

    @property
    def dims(self) -> list[int]:
        return list(self._grid.dims)

    @property
    def periods(self) -> list[bool]:
        return list(self._grid.periods)

    @property
    def coords(self) -> list[int]:
        return self._grid.coordinates(self._rank)

    @property
    def ndim(self) -> int:
        return len(self._grid.dims)

    dim = ndim

    @property
    def topo(self) -> tuple[list[int], list[bool], list[int]]:
        return self.dims, self.periods, self.coords

    def Get_dim(self) -> int:
        return self.ndim

    def Get_topo(self) -> tuple[list[int], list[bool], list[int]]:
        return self.topo

    def Get_topology(self) -> int:
        return CART

    def Get_coords(self, rank: int) -> list[int]:
        return self._grid.coordinates(rank)

    def Get_cart_rank(self, coords: Sequence[int]) -> int:
        found = self._grid.rank(coords)
        if found == PROC_NULL:
            self.enter(f"Get_cart_rank({list(coords)})")
            self.reject(f"coordinates {list(coords)} lie outside the grid {self.dims}")
        return found

    def Shift(self, direction: int, disp: int) -> tuple[int, int]:
        return (
            self._grid.shifted(self._rank, direction, -disp),
            self._grid.shifted(self._rank, direction, disp),
        )

    def Sub(self, remain_dims: Sequence[bool]) -> Any:
        kept = [axis for axis, remains in enumerate(remain_dims) if remains]
        grid = Grid(
            tuple(self._grid.dims[axis] for axis in kept),
            tuple(self._grid.periods[axis] for axis in kept),
        )
        at = self.coords
        color = tuple(at[axis] for axis in range(self.ndim) if axis not in kept)

        def combine(gives: list[Any]) -> Sequence[Any]:
            results: list[Any] = [None] * len(gives)
            for own in sorted(set(gives)):
                inside = [i for i, give in enumerate(gives) if give == own]
                members = [self.context.members[i] for i in inside]
                context = Context(self._simulation, members, grid.edges())
                for rank, i in enumerate(inside):
                    results[i] = (context, rank)
            return results

        def take(result: tuple[Context, int]) -> Cartcomm:
            return Cartcomm(*result, grid)

        agree = {"remain_dims": [bool(remains) for remains in remain_dims]}
        exchange = Exchange("Sub", Pattern.SPREAD, color, combine, take, agree)
        return self.complete("Sub", lambda: exchange)

    def _alike(self, context: Context, rank: int) -> Comm:
        return Cartcomm(context, rank, self._grid)


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
