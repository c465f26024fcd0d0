# reference: heat; status: wrong; says: out[
# outpace: {"flags": {"grid": "y"}}
import numpy as np
from mpi4py import MPI


def run(comm, u, steps, out, *, sizes):
    working = min(comm.Get_size(), sizes["y"])
    grid = comm.Create_cart([working])
    if grid == MPI.COMM_NULL:
        return
    rank = grid.Get_rank()
    up, down = grid.Shift(0, 1)
    rows, columns = u.shape
    a = np.full((rows + 2, columns), np.nan)
    a[1:-1] = u
    line = MPI.DOUBLE.Create_subarray([rows + 2, columns], [1, columns], [0, 0]).Commit()
    for _ in range(steps):
        requests = [
            grid.Irecv([a, 1, line], up, 1),
            grid.Irecv([a[-1:], columns, MPI.DOUBLE], down, 2),
            grid.Issend([a[1:2], columns, MPI.DOUBLE], up, 2),
            grid.Issend(a[-2], down, 1),
        ]
        b = a.copy()
        b[1:-1, 1:-1] = 0.125 * (
            a[:-2, :-2] + a[:-2, 1:-1] + a[:-2, 2:] + a[1:-1, :-2]
            + a[1:-1, 2:] + a[2:, :-2] + a[2:, 1:-1] + a[2:, 2:]
        )
        if rank == 0:
            b[1] = a[1]
        if rank == working - 1:
            b[-2] = a[-2]
        MPI.Request.Waitall(requests)
        b[[0, -1]] = a[[0, -1]]
        a = b
    line.Free()
    grid.Free()
    out[:] = a[1:-1]
