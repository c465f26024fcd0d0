"""A transform by rows, then by columns; rows are cut over the ranks before and after."""

from collections.abc import Callable
from typing import Any

import numpy as np

from outpace.codegen.mpi.templates.exchange import Array, Exchange, Place
from outpace.codegen.mpi.templates.geometry import Axis, Geometry, Reach
from outpace.codegen.mpi.templates.messages import Phase, cells_of, overlap, shape_of


class Turning:
    """Hands the cells of a matrix over from ranks that hold rows to ranks that hold columns.

    Memory and messages are the same for every call.
    """

    def __init__(
        self,
        rank: int,
        grid: dict[str, int],
        sizes: dict[str, int],
        columns: str,
        mode: str,
        dtype: str,
    ) -> None:
        (rows,) = grid
        by_rows = (Axis(rows, 0, (rows,)), Axis(columns, 0, ()))
        by_columns = (Axis(rows, 0, ()), Axis(columns, 0, (rows,)))
        self.to_columns = Turn(rank, grid, sizes, mode, (by_rows, by_columns), columns, dtype)
        self.to_rows = Turn(rank, grid, sizes, mode, (by_columns, by_rows), rows, dtype)
        self.columns = np.empty(shape_of(self.to_columns.new), dtype)


class Turn:
    """One such exchange, to an array that is cut along `dim`."""

    def __init__(
        self,
        rank: int,
        grid: dict[str, int],
        sizes: dict[str, int],
        mode: str,
        cuts: tuple[tuple[Axis, ...], tuple[Axis, ...]],
        dim: str,
        dtype: str,
    ) -> None:
        had, wanted = cuts
        (over,) = grid
        geometry = Geometry(grid, sizes, {dim: Reach(over, 0, 0, False)}, lambda _: True)
        self.old, self.new = geometry.own(had, rank), geometry.own(wanted, rank)
        self.common = overlap(self.old, self.new)
        self.exchange = Exchange(
            Phase(geometry, [had], None),
            rank,
            [dtype],
            mode,
            source=lambda m: Place(m.array, self.old),
            target=lambda m: Place(m.array, self.new),
        )

    def turn(self, comm: Any, given: Array, turned: Array) -> None:
        """Fill the new block of this rank."""
        self.exchange.open(comm)
        self.exchange.start([given], [turned])
        if self.common is not None:
            mine = given[cells_of(self.common, self.old)]
            turned[cells_of(self.common, self.new)] = mine
        self.exchange.finish([given], [turned])


def transform(
    comm: Any, turning: Turning, along: Callable[..., Array], given: Array, result: Array
) -> None:
    """Transform by rows, then by columns, as NumPy does.

    Args:
        comm: The communicator.
        turning: Between rows and columns.
        along: Transforms along an axis, such as `np.fft.fft`.
        given: Own rows.
        result: Own rows; written.
    """

    def transformed(array: Array, axis: int) -> Array:
        done = along(array, axis=axis) if array.size else array
        return done.astype(result.dtype, copy=False)

    turning.to_columns.turn(comm, transformed(given, 1), turning.columns)
    turning.to_rows.turn(comm, transformed(turning.columns, 0), result)
