"""Communicators as a program holds them: made from others, with and without a topology."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NoReturn

from outpace.tuner.simcomm.context import Context, Handle
from outpace.tuner.simcomm.faults import RankFailed
from outpace.tuner.simcomm.joining import Exchange, Pattern
from outpace.tuner.simcomm.neighbours import NeighbourCollectives
from outpace.tuner.simcomm.status import PROC_NULL, UNDEFINED
from outpace.tuner.simcomm.topologies import Edges, Grid, wired


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
        self,
        dims: Sequence[int],
        periods: Sequence[bool] | bool | None = None,
        reorder: bool = False,
    ) -> Any:
        """A grid of ranks, row-major; `reorder` changes nothing."""
        del reorder
        extents = tuple(int(extent) for extent in dims)
        if periods is None or isinstance(periods, bool):
            periods = [bool(periods)] * len(extents)
        wraps = tuple(map(bool, periods))
        grid = Grid(extents, wraps)
        if prod(extents) > self.size or any(extent < 0 for extent in extents):
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

    def Create_dist_graph_adjacent(
        self,
        sources: Sequence[int],
        destinations: Sequence[int],
        sourceweights: Any = None,
        destweights: Any = None,
        info: Any = None,
        reorder: bool = False,
    ) -> Any:
        """A graph of which every rank names its own neighbours; weights change nothing."""
        del sourceweights, destweights, info, reorder
        give = (tuple(map(int, sources)), tuple(map(int, destinations)))

        def combine(gives: list[Any]) -> Sequence[Any]:
            try:
                edges = wired(gives)
            except ValueError as error:
                self.reject(str(error))
            return [Context(self._simulation, self.context.members, edges)] * len(gives)

        def take(context: Context) -> Distgraphcomm:
            return Distgraphcomm(context, self._rank)

        name = "Create_dist_graph_adjacent"
        exchange = Exchange(name, Pattern.SPREAD, give, combine, take)
        return self.complete(name, lambda: exchange)

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
DIST_GRAPH = 3


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


class Distgraphcomm(Comm):
    """A communicator whose ranks form a graph."""

    @property
    def indegree(self) -> int:
        return len(self._edges.sources)

    @property
    def outdegree(self) -> int:
        return len(self._edges.destinations)

    def Get_topology(self) -> int:
        return DIST_GRAPH

    def Get_dist_neighbors_count(self) -> tuple[int, int, bool]:
        return self.indegree, self.outdegree, False

    def Get_dist_neighbors(self) -> tuple[list[int], list[int], None]:
        sources = [source for source, _ in self._edges.sources]
        return sources, list(self._edges.destinations), None

    @property
    def _edges(self) -> Edges:
        assert self.context.edges is not None
        return self.context.edges[self._rank]

    def _alike(self, context: Context, rank: int) -> Comm:
        return Distgraphcomm(context, rank)
