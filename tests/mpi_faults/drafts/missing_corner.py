# reference: heat; status: wrong; says: out[
# outpace: {"parameters": {"GRID_Y": [2], "GRID_X": [3]}, "flags": {"grid": "y x"}}
import numpy as np
from mpi4py import MPI

GRID_Y, GRID_X = 2, 3


def run(comm, u, steps, out, *, sizes):
    row, column = divmod(comm.Get_rank(), GRID_X)
    last_row, last_column = min(GRID_Y, sizes["y"]) - 1, min(GRID_X, sizes["x"]) - 1
    inside = row <= last_row and column <= last_column
    up = comm.Get_rank() - GRID_X if inside and row > 0 else MPI.PROC_NULL
    down = comm.Get_rank() + GRID_X if inside and row < last_row else MPI.PROC_NULL
    left = comm.Get_rank() - 1 if inside and column > 0 else MPI.PROC_NULL
    right = comm.Get_rank() + 1 if inside and column < last_column else MPI.PROC_NULL
    a = np.full((u.shape[0] + 2, u.shape[1] + 2), np.nan)
    a[1:-1, 1:-1] = u
    for _ in range(steps):
        exchange_columns(comm, a, left, right)
        exchange_rows(comm, a, up, down)
        b = a.copy()
        b[1:-1, 1:-1] = 0.125 * (
            a[:-2, :-2] + a[:-2, 1:-1] + a[:-2, 2:] + a[1:-1, :-2]
            + a[1:-1, 2:] + a[2:, :-2] + a[2:, 1:-1] + a[2:, 2:]
        )
        if row == 0:
            b[1] = a[1]
        if row == last_row:
            b[-2] = a[-2]
        if column == 0:
            b[:, 1] = a[:, 1]
        if column == last_column:
            b[:, -2] = a[:, -2]
        a = b
    out[:] = a[1:-1, 1:-1]


def exchange_columns(comm, a, left, right):
    ghost = np.full(a.shape[0], np.nan)
    comm.Sendrecv(a[:, 1].copy(), left, 0, ghost, right, 0)
    a[:, -1] = ghost
    ghost = np.full(a.shape[0], np.nan)
    comm.Sendrecv(a[:, -2].copy(), right, 1, ghost, left, 1)
    a[:, 0] = ghost


def exchange_rows(comm, a, up, down):
    above, below = np.full((2, a.shape[1] - 2), np.nan)
    comm.Sendrecv(a[1, 1:-1].copy(), up, 2, below, down, 2)
    comm.Sendrecv(a[-2, 1:-1].copy(), down, 3, above, up, 3)
    a[0, 1:-1], a[-1, 1:-1] = above, below
