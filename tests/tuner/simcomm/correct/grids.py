"""Cartesian communicators, their parts, and neighbourhood collectives."""

import numpy as np
from mpi4py import MPI


def shift(grid, axis):
    """With None for nobody, whom libraries number differently."""
    return [None if rank == MPI.PROC_NULL else rank for rank in grid.Shift(axis, 1)]


def graph(comm):
    """Everybody to the next rank, twice, and to the first."""
    rank, size = comm.rank, comm.size
    sources = [(rank - 1) % size] * 2 + (list(range(size)) if rank == 0 else [])
    made = comm.Create_dist_graph_adjacent(sources, [(rank + 1) % size] * 2 + [0])
    got = np.full(len(sources), -1.0)
    made.Neighbor_alltoall(np.array([rank, rank + 0.25, rank + 0.5]), got)
    found = [made.Get_dist_neighbors_count()[:2], made.neighbor_allgather(rank)]
    made.Free()
    return [*found, got.tolist() if size > 1 else None]  # to itself, the order is not defined


def results(comm):
    found = {"dims": [MPI.Compute_dims(n, 2) for n in (1, 6, 7, 12, 36)]}
    found["given"] = MPI.Compute_dims(12, [0, 3, 0])
    dims = MPI.Compute_dims(comm.size, 2)
    for periods in ([False, True], [True, True]):
        grid = comm.Create_cart(dims, periods)
        rank = grid.Get_rank()
        key = str(periods)
        found[key] = [grid.coords, grid.dims, [shift(grid, axis) for axis in (0, 1)]]
        found[key + "rank"] = grid.Get_cart_rank(grid.Get_coords(rank))

        got = np.full((4, 2), -1.0)
        grid.Ineighbor_allgather(np.array([rank, 0.5]), got).Wait()
        found[key + "allgather"] = got.tolist()
        send = np.array([10.0 * rank + i for i in range(4)])
        got = np.full(4, -1.0)
        grid.Neighbor_alltoall(send, got)
        found[key + "alltoall"] = got.tolist()
        grid.Neighbor_alltoallv(
            [send, ([1, 1, 1, 1], [3, 2, 1, 0]), MPI.DOUBLE], [got, [1, 1, 1, 1]]
        )
        found[key + "alltoallv"] = got.tolist()

        field = np.full((4, 5), float(rank))
        column = MPI.DOUBLE.Create_subarray([4, 5], [2, 1], [1, 0]).Commit()
        row = MPI.DOUBLE.Create_subarray([4, 5], [1, 5], [0, 0]).Commit()
        types, sent = [row, row, column, column], [40, 80, 8, 24]
        grid.Neighbor_alltoallw(
            [field.copy(), [1] * 4, sent, types], [field, [1] * 4, [0, 120, 0, 32], types]
        )
        found[key + "alltoallw"] = field.tolist()
        line = grid.Sub([False, True])
        found[key + "sub"] = [line.size, line.rank, line.allreduce(rank)]
        for made in (column, row, line, grid):
            made.Free()
    found["graph"] = graph(comm)
    part = comm.Create_cart([max(1, comm.size - 1)])
    found["outside"] = part == MPI.COMM_NULL
    return found
