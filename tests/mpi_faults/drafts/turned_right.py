# reference: turned; status: checked; says: right on
import numpy as np
from mpi4py import MPI


def cells(extent, ranks):
    return [extent // ranks + (r < extent % ranks) for r in range(ranks)]


def run(comm, a, out, *, sizes):
    ranks, rank = comm.Get_size(), comm.Get_rank()
    ys, xs = cells(sizes["y"], ranks), cells(sizes["x"], ranks)
    column = MPI.DOUBLE.Create_vector(ys[rank], 1, sizes["x"]).Create_resized(0, 8).Commit()
    rows = [MPI.DOUBLE.Create_contiguous(y).Create_resized(0, 8 * sizes["y"]).Commit() for y in ys]
    send = [a, xs, [8 * sum(xs[:r]) for r in range(ranks)], [column] * ranks]
    receive = [out, [xs[rank]] * ranks, [8 * sum(ys[:r]) for r in range(ranks)], rows]
    comm.Alltoallw(send, receive)
    for datatype in (column, *rows):
        datatype.Free()
