"""A transform by rows, then by columns; rows are cut over the ranks before and after."""

from collections.abc import Callable
from typing import Any

import numpy as np

from outpace.codegen.mpi.templates.exchange import Array, Exchange
from outpace.codegen.mpi.templates.geometry import Axis, Geometry, Reach
from outpace.codegen.mpi.templates.messages import Phase, cells_of, overlap, shape_of


class Turning:
    """Hands the cells of a matrix over from ranks that hold rows to ranks that hold columns."""

    def __init__(self, comm: Any, sizes: dict[str, int], dims: tuple[str, str], mode: str) -> None:
        self.comm, self.mode = comm, mode
        rows, columns = dims
        grid = {rows: comm.Get_size()}
        self.by_rows = (Axis(rows, 0, (rows,)), Axis(columns, 0, ()))
        self.by_columns = (Axis(rows, 0, ()), Axis(columns, 0, (rows,)))
        self.to_columns, self.to_rows = (
            Geometry(grid, sizes, {dim: Reach(rows, 0, 0, False)}, lambda _: True)
            for dim in (columns, rows)
        )

    def columns(self, array: Array) -> Array:
        """Own columns from own rows."""
        return self._turned(self.to_columns, self.by_rows, self.by_columns, array)

    def rows(self, array: Array) -> Array:
        """Own rows from own columns."""
        return self._turned(self.to_rows, self.by_columns, self.by_rows, array)

    def _turned(
        self, geometry: Geometry, had: tuple[Axis, ...], wanted: tuple[Axis, ...], array: Array
    ) -> Array:
        rank = self.comm.Get_rank()
        old, new = geometry.own(had, rank), geometry.own(wanted, rank)
        turned: Array = np.empty(shape_of(new), array.dtype)
        common = overlap(old, new)
        if common is not None:
            turned[cells_of(common, new)] = array[cells_of(common, old)]
        exchange = Exchange(self.comm, Phase(geometry, [had], None), [array.dtype], self.mode)
        exchange.start([array], [old])
        exchange.finish([turned])
        exchange.close()
        return turned


def transform(turning: Turning, along: Callable[..., Array], given: Array, result: Array) -> None:
    """Transform by rows, then by columns, as NumPy does.

    Args:
        turning: Between rows and columns.
        along: Transforms along an axis, such as `np.fft.fft`.
        given: Own rows.
        result: Own rows; written.
    """

    def transformed(array: Array, axis: int) -> Array:
        done = along(array, axis=axis) if array.size else array
        return done.astype(result.dtype, copy=False)

    columns = turning.columns(transformed(given, 1))
    result[...] = turning.rows(transformed(columns, 0))
