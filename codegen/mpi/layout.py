"""Who owns which cells: dims cut into balanced blocks over a grid of ranks.

- A dim of extent n over p parts is cut into contiguous blocks; the first n % p get one cell more.
  Parts may be empty, and then they are the last ones.
- Cell j of an axis `y+c` belongs to the owner of cell j - c // 2 of `y`, or of the nearest cell
  where there is no such one: ghost rings belong to the outermost blocks.
- An array is cut along the first axis that mentions a dim of the grid; it is whole along dims that
  it does not mention, so that ranks which differ in these alone hold the same cells.
- A ring dim of no result, such as that over which a product of matrices sums, has no place in the
  grid. It is cut, in each array, over the ranks along those dims of the grid that the array does
  not mention, which is the layout of SUMMA.
- Pencil dims share one place in the grid, that of the first of them: each array is cut along the
  first pencil dim that it mentions.
- Ranks are row-major over the grid, whose dims are in the order in which the arrays mention them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any

import msgspec

from outpace.codegen.dims import Affine, parse_dim
from outpace.errors import ContractError, DraftError
from outpace.model import Argument, Contract, Output
from outpace.split import Block, Boundary, Pencil, Replicated, Ring

Part = Argument | Output
"""What is cut: an argument or an output."""


@dataclass(frozen=True)
class Cut:
    """How one axis of an array is cut.

    Attributes:
        dim: By whose blocks.
        axis: The axis expression.
        over: Dims of the process grid over whose places it is cut, the last one fastest.
    """

    dim: str
    axis: Affine
    over: tuple[str, ...]

    @property
    def is_simple(self) -> bool:
        """Whether the axis is `dim` or `dim+c`, so that it can be cut."""
        return len(self.axis.terms) == 1 and self.axis.terms[0][1] == 1


def blocks(extent: int, parts: int) -> tuple[tuple[int, int], ...]:
    """First cell and end of each balanced block of a dim.

    Args:
        extent: Number of cells, at least 0.
        parts: Number of blocks, at least 1.
    """
    size, longer = divmod(extent, parts)
    starts = [part * size + min(part, longer) for part in range(parts + 1)]
    return tuple(pairwise(starts))


def cut_dims(contract: Contract) -> tuple[str, ...]:
    """Dims that may be cut, in the order in which arguments, then outputs mention them.

    That of `split` would not do: a contract that was stored has its dicts sorted by key.
    """
    axes = (parse_dim(dim) for part in contract.parts for dim in part.dims or ())
    mentioned = dict.fromkeys(name for axis in axes for name in axis.names)
    split = contract.split
    return tuple(d for d in mentioned if d in split and not isinstance(split[d], Replicated))


def grid_dims(contract: Contract) -> tuple[str, ...]:
    """Dims that have a place in the process grid: cut dims but ring dims of no result, and of
    several pencil dims the first."""  # noqa: D205, D209
    kept = {name for part in contract.results for name in _names(part)}
    pencils = pencil_dims(contract)
    return tuple(
        dim
        for dim in cut_dims(contract)
        if dim not in pencils[1:] and (dim in kept or not isinstance(contract.split[dim], Ring))
    )


def pencil_dims(contract: Contract) -> tuple[str, ...]:
    """Dims of which each array cuts the first that it mentions."""
    return tuple(dim for dim in cut_dims(contract) if isinstance(contract.split[dim], Pencil))


def cuts(contract: Contract, part: Part) -> tuple[Cut | None, ...]:
    """How each axis of an argument or output is cut; None for an axis that is whole."""
    places = grid_dims(contract)
    over: dict[str, tuple[str, ...]] = {dim: (dim,) for dim in places}
    mentioned = _names(part)
    pencils = pencil_dims(contract)
    taken = {*mentioned, *(pencils[:1] if mentioned & set(pencils) else ())}
    rest = tuple(dim for dim in places if dim not in taken)
    shared = tuple(d for d in cut_dims(contract) if d not in (*places, *pencils))
    over.update(dict.fromkeys(shared if rest else (), rest))
    over.update(dict.fromkeys(pencils, pencils[:1]))
    found: list[Cut | None] = []
    for dim in part.dims or ():
        axis = parse_dim(dim)
        name = next((name for name in axis.names if name in over), None)
        if name is None:
            found.append(None)
            continue
        found.append(Cut(name, axis, over[name]))
        for other in next((g for g in (pencils, shared) if name in g), (name,)):
            over.pop(other, None)
    return tuple(found)


def grids(contract: Contract, ranks: int) -> list[dict[str, int]]:
    """All factorisations of a number of ranks over the dims of the grid, each dim present.

    The list is empty where nothing can be cut.
    """
    dims = grid_dims(contract)
    if not dims:
        return []
    return [dict(zip(dims, parts, strict=True)) for parts in _factorisations(ranks, len(dims))]


def default_grid(contract: Contract, sizes: Mapping[str, int], ranks: int) -> dict[str, int]:
    """The grid that is taken where none is given.

    The one with the fewest empty blocks, of these the one nearest to a cube, of these the one that
    cuts earlier dims more.

    Raises:
        ContractError: The contract names no dim that may be cut.
    """
    found = grids(contract, ranks)
    if not found:
        raise ContractError(
            "no dim of this reference may be cut over ranks; "
            'name one, as in split={"y": Block(halo=1)}'
        )

    def cost(grid: dict[str, int]) -> tuple[int, int, tuple[int, ...]]:
        used = prod(min(parts, sizes[dim]) for dim, parts in grid.items())
        return -used, sum(grid.values()), tuple(-parts for parts in grid.values())

    return min(found, key=cost)


def grid_of(
    flags: Mapping[str, Any],
    params: Mapping[str, Any],
    contract: Contract,
    sizes: Mapping[str, int],
    ranks: int,
) -> dict[str, int]:
    """The process grid of a draft.

    Args:
        flags: The draft's flags; `grid` names dims, as in `"y x"`. Absent: all that may be cut.
        params: Its bound parameters. `GRID_Y` is the number of parts of the dim `y`; without any
            of these the grid is the default one over the named dims.
        contract: Of its reference.
        sizes: Global dims and int arguments.
        ranks: Number of ranks.

    Raises:
        DraftError: A named dim cannot be cut, or the parts do not multiply to the ranks.
    """
    dims = _named_dims(flags, contract)
    given = {dim: params[f"GRID_{dim.upper()}"] for dim in dims if f"GRID_{dim.upper()}" in params}
    if not given:
        split = {
            d: s for d, s in contract.split.items() if d in dims or d not in grid_dims(contract)
        }
        return default_grid(_with_split(contract, split), sizes, ranks)
    grid = {dim: given.get(dim, 1) for dim in dims}
    if any(type(parts) is not int or parts < 1 for parts in grid.values()):
        raise DraftError(f"the process grid {_grid_text(grid)} needs whole numbers of at least 1")
    if prod(grid.values()) != ranks:
        raise DraftError(
            f"the process grid {_grid_text(grid)} has {prod(grid.values())} places for {ranks} "
            "ranks; GRID_* must multiply to the number of ranks"
        )
    return grid


@dataclass(frozen=True)
class Layout:
    """Who owns which cells of every argument and output.

    Attributes:
        contract: Of the reference.
        global_sizes: Dims and int arguments of the whole problem.
        grid: Parts of each dim of the process grid, in the order of `Contract.split`.
    """

    contract: Contract
    global_sizes: Mapping[str, int]
    grid: Mapping[str, int]

    @classmethod
    def of(cls, contract: Contract, sizes: Mapping[str, int], grid: Mapping[str, int]) -> Layout:
        """The layout of a contract at these sizes on this grid; dims that it lacks are not cut.

        Raises:
            ContractError: The grid names a dim that cannot be cut, or cuts one that an array
                mentions in another form than `y` or `y+4`.
        """
        dims = grid_dims(contract)
        if unknown := [dim for dim in grid if dim not in dims]:
            raise ContractError(
                f"the process grid names {', '.join(unknown)}; the dims that may be cut are "
                f"{', '.join(dims) or 'none'}"
            )
        layout = cls(contract, dict(sizes), {dim: grid.get(dim, 1) for dim in dims})
        for part in contract.parts:
            layout._refuse_uncuttable(part)
        return layout

    @cached_property
    def ranks(self) -> int:
        """Number of ranks."""
        return prod(self.grid.values())

    @cached_property
    def _cuts(self) -> dict[str, tuple[Cut | None, ...]]:
        return {part.name: cuts(self.contract, part) for part in self.contract.parts}

    def coordinates(self, rank: int) -> dict[str, int]:
        """Place of a rank along every dim of the grid."""
        found: dict[str, int] = {}
        for dim, parts in reversed(list(self.grid.items())):
            rank, found[dim] = divmod(rank, parts)
        return {dim: found[dim] for dim in self.grid}

    def rank_at(self, coordinates: Mapping[str, int]) -> int:
        """The rank at a place of the grid."""
        rank = 0
        for dim, parts in self.grid.items():
            rank = rank * parts + coordinates[dim]
        return rank

    def block(self, dim: str, rank: int) -> tuple[int, int]:
        """First cell and end of a rank's own block of a dim; the whole where it is not cut."""
        extent = self.global_sizes[dim]
        if dim not in self.grid:
            return 0, extent
        return blocks(extent, self.grid[dim])[self.coordinates(rank)[dim]]

    def sizes(self, rank: int) -> dict[str, int]:
        """Sizes as a rank sees them: dims of the grid replaced by the extents of its own block.

        Pencil dims stay as they are, since each array cuts its own.
        """
        pencils = pencil_dims(self.contract)
        own = {dim: self.block(dim, rank) for dim in self.grid if dim not in pencils}
        return {**self.global_sizes, **{dim: end - start for dim, (start, end) in own.items()}}

    def neighbour(self, rank: int, dim: str, direction: int) -> int | None:
        """The rank that owns the cells before (-1) or after (1) a rank's own block of a dim.

        None beyond a fixed end, and for a rank whose block is empty. Where the dim wraps round
        and has one block, it is the rank itself.
        """
        at = self.coordinates(rank)
        filled = min(self.grid[dim], self.global_sizes[dim])
        if at[dim] >= filled:
            return None
        place = at[dim] + direction
        if self._wraps(dim):
            place %= filled
        elif not 0 <= place < filled:
            return None
        return self.rank_at({**at, dim: place})

    def is_distributed(self, part: Part) -> bool:
        """Whether an argument or output is cut along any axis on this grid."""
        return any(self._parts(cut) > 1 for cut in self._cuts[part.name] if cut is not None)

    def own(self, part: Part, rank: int) -> tuple[slice, ...]:
        """A rank's own block of an argument or output, as global slices; `()` for a scalar."""
        at = self.coordinates(rank)
        slices = []
        for dim, cut in zip(part.dims or (), self._cuts[part.name], strict=True):
            if cut is None or self._parts(cut) == 1:
                slices.append(slice(0, parse_dim(dim).evaluate(self.global_sizes)))
                continue
            place = 0
            for other in cut.over:
                place = place * self.grid[other] + at[other]
            extent = self.global_sizes[cut.dim]
            slices.append(_axis_block(extent, cut.axis.constant, place, self._parts(cut)))
        return tuple(slices)

    def shape(self, part: Part, rank: int) -> tuple[int, ...]:
        """Extents of a rank's own block of an argument or output."""
        return tuple(cells.stop - cells.start for cells in self.own(part, rank))

    def _parts(self, cut: Cut) -> int:
        return prod(self.grid[dim] for dim in cut.over)

    def _refuse_uncuttable(self, part: Part) -> None:
        for dim, cut in zip(part.dims or (), self._cuts[part.name], strict=True):
            if cut is not None and self._parts(cut) > 1 and not cut.is_simple:
                raise ContractError(
                    f"the axis {dim!r} of {part.name} cannot be cut along {cut.dim}; only axes "
                    f"such as `{cut.dim}` and `{cut.dim}+4` can"
                )

    def _wraps(self, dim: str) -> bool:
        split = self.contract.split[dim]
        is_periodic = isinstance(split, Block) and split.boundary is Boundary.PERIODIC
        return is_periodic or isinstance(split, Ring)


def _axis_block(extent: int, constant: int, place: int, parts: int) -> slice:
    """The cells of an axis `dim + constant` that belong to one part of the dim."""
    length, shift = extent + constant, constant // 2
    start, end = blocks(extent, parts)[place]
    if extent == 0:
        return slice(0, length if place == 0 else 0)
    first = 0 if start == 0 else min(max(start + shift, 0), length)
    last = length if end == extent else min(max(end + shift, 0), length)
    return slice(first, last) if start < end else slice(length, length)


def _names(part: Part) -> set[str]:
    return {name for dim in part.dims or () for name in parse_dim(dim).names}


def _factorisations(number: int, factors: int) -> Iterator[tuple[int, ...]]:
    """Every way to write a number as an ordered product."""
    if factors == 1:
        yield (number,)
        return
    for first in range(1, number + 1):
        if number % first == 0:
            for rest in _factorisations(number // first, factors - 1):
                yield first, *rest


def _named_dims(flags: Mapping[str, Any], contract: Contract) -> tuple[str, ...]:
    allowed = grid_dims(contract)
    text = flags.get("grid", " ".join(allowed))
    named = text.split() if isinstance(text, str) else []
    if not named or set(named) - set(allowed) or len(set(named)) < len(named):
        raise DraftError(
            f"the flag grid={text!r} must name dims that may be cut, each once, with spaces "
            f"between: {' '.join(allowed) or 'this reference has none'}"
        )
    return tuple(dim for dim in allowed if dim in named)


def _with_split(contract: Contract, split: Mapping[str, Any]) -> Contract:
    return msgspec.structs.replace(contract, split=dict(split))


def _grid_text(grid: Mapping[str, int]) -> str:
    return " x ".join(f"{parts} along {dim}" for dim, parts in grid.items())
