"""Plans: every way to spread a reference over a number of ranks, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import product

from outpace.codec import Value
from outpace.codegen.dims import parse_dim
from outpace.codegen.mpi.layout import grid_dims, grids
from outpace.codegen.mpi.patterns import Pattern
from outpace.codegen.splitting import carried, halo_of
from outpace.model import Contract, Scalar
from outpace.split import Block, Combination, Replicated

_DEPTHS = (1, 2, 4, 8, 16, 32, 64)


class Exchange(StrEnum):
    """How messages travel."""

    NONBLOCKING = "nonblocking"
    BLOCKING = "blocking"
    PERSISTENT = "persistent"
    NEIGHBOURHOOD = "neighbourhood"
    ALLTOALL = "alltoall"
    ALLGATHER = "allgather"
    RING = "ring"


class Corners(StrEnum):
    """How ghost cells at corners come: with those of later dims, or in messages of their own."""

    PHASES = "phases"
    DIAGONAL = "diagonal"


class Collective(StrEnum):
    """How partial results are combined: `GATHER` in the order of the ranks."""

    ALLREDUCE = "allreduce"
    REDUCE = "reduce"
    GATHER = "gather"


class Plan(Value, frozen=True):
    """One way to spread a reference over ranks; None where there is nothing to choose.

    Attributes:
        pattern: Of the reference.
        grid: Parts of each dim of the process grid.
        depth: Time steps between exchanges.
        exchange: How messages travel.
        corners: How ghost cells at corners come.
        overlap: Whether the interior is computed while messages travel.
        collective: How partial results are combined.
    """

    pattern: Pattern
    grid: dict[str, int]
    depth: int = 1
    exchange: Exchange | None = None
    corners: Corners | None = None
    overlap: bool = False
    collective: Collective | None = None

    @property
    def params(self) -> dict[str, Scalar]:
        """The plan as values of parameters; a draft takes those that it has."""
        found: dict[str, Scalar] = {grid_parameter(dim): n for dim, n in self.grid.items()}
        found |= {"DEPTH": self.depth, "OVERLAP": self.overlap}
        chosen = {
            "EXCHANGE": self.exchange,
            "CORNERS": self.corners,
            "COLLECTIVE": self.collective,
        }
        return found | {name: str(value) for name, value in chosen.items() if value is not None}


def grid_parameter(dim: str) -> str:
    """Name of the parameter that holds the number of parts of a dim."""
    return f"GRID_{dim.upper()}"


def plans(contract: Contract, pattern: Pattern, sizes: Mapping[str, int], ranks: int) -> list[Plan]:
    """All plans that make sense for these sizes.

    A plan's ghost cells lie on neighbours: no block is thinner than they are deep. Programs are
    right where this does not hold, but no faster.

    Args:
        contract: Of the reference.
        pattern: Its pattern.
        sizes: Dims and int arguments of a workload.
        ranks: Number of ranks.
    """
    return [
        plan
        for grid in grids(contract, ranks)
        for plan in _on_grid(contract, pattern, grid)
        if _is_thick_enough(contract, plan, sizes)
    ]


def exchanges(pattern: Pattern) -> tuple[Exchange, ...]:
    """Ways in which messages of a pattern may travel, the default first."""
    match pattern:
        case Pattern.STENCIL:
            persistent = (Exchange.PERSISTENT, Exchange.NEIGHBOURHOOD)
            return Exchange.NONBLOCKING, Exchange.BLOCKING, *persistent
        case Pattern.PRODUCT:
            return Exchange.NONBLOCKING, Exchange.BLOCKING
        case Pattern.RING:
            return Exchange.RING, Exchange.ALLGATHER, Exchange.NONBLOCKING
        case Pattern.TRANSPOSE | Pattern.TRANSFORM:
            return Exchange.ALLTOALL, Exchange.NONBLOCKING, Exchange.BLOCKING
        case _:
            return ()


def depths(contract: Contract, pattern: Pattern) -> tuple[int, ...]:
    """Numbers of steps that may be made between exchanges."""
    is_stepped = pattern is Pattern.STENCIL and contract.steps is not None and carries(contract)
    return _DEPTHS if is_stepped else (1,)


def is_reached(contract: Contract, depth: int, sizes: Mapping[str, int]) -> bool:
    """Whether there are so many steps, or this is the first depth that makes all of them."""
    steps = 1 if contract.steps is None else sizes[contract.steps]
    return depth == 1 or depth < 2 * steps


def carries(contract: Contract) -> bool:
    """Whether the results of some steps are the inputs of the next."""
    complete = any(len(way) == len(contract.outputs) for way in carried(contract))
    return bool(contract.mutated) or complete


def can_overlap(contract: Contract) -> bool:
    """Whether pieces of a block can be computed apart: nothing is written in place."""
    dims = set(grid_dims(contract))
    padded = [
        text
        for output in contract.outputs
        for text in output.dims
        if parse_dim(text).constant and set(parse_dim(text).names) & dims
    ]
    return not contract.mutated and not padded


def collectives(contract: Contract) -> tuple[Collective, ...]:
    """How partial results may be combined; in order alone where order or NaN matters."""
    dtypes = {output.name: output.dtype for output in contract.outputs}
    for name, reduced in contract.reduce.items():
        picks = reduced.operation in (Combination.MINIMUM, Combination.MAXIMUM)
        ordered = not reduced.reassociable or contract.reproducible
        if ordered or (picks and dtypes[name].startswith("float")):
            return (Collective.GATHER,)
    return tuple(Collective)


def _on_grid(contract: Contract, pattern: Pattern, grid: dict[str, int]) -> Iterator[Plan]:
    if pattern is Pattern.REDUCTION:
        yield from (Plan(pattern, grid, collective=how) for how in collectives(contract))
        return
    corners = tuple(Corners) if len(grid) > 1 else (Corners.PHASES,)
    overlaps = (False, True) if can_overlap(contract) else (False,)
    if pattern is not Pattern.STENCIL:
        yield from (Plan(pattern, grid, exchange=mode) for mode in exchanges(pattern))
        if pattern is Pattern.MAP:
            yield Plan(pattern, grid)
        return
    choices = product(depths(contract, pattern), exchanges(pattern), corners, overlaps)
    for depth, mode, corner, overlap in choices:
        if mode is Exchange.NEIGHBOURHOOD and corner is Corners.DIAGONAL:
            continue
        if overlap and mode not in (Exchange.NONBLOCKING, Exchange.PERSISTENT):
            continue
        yield Plan(pattern, grid, depth, mode, corner, overlap)


def _is_thick_enough(contract: Contract, plan: Plan, sizes: Mapping[str, int]) -> bool:
    if not is_reached(contract, plan.depth, sizes):
        return False
    for dim, parts in plan.grid.items():
        split = contract.split[dim]
        thinnest = sizes[dim] // parts
        least = 1 if isinstance(split, Replicated) else split.minimum
        if isinstance(split, Block) and parts > 1:
            least = max(least, plan.depth * max(halo_of(split)))
        if parts > 1 and thinnest < least:
            return False
    return True
