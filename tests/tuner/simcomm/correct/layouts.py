"""Derived datatypes: columns, blocks, boxes."""

import numpy as np
from mpi4py import MPI


def results(comm):
    rank, size = comm.rank, comm.size
    after, before = (rank + 1) % size, (rank - 1) % size
    found = {}
    grid = np.arange(20.0).reshape(4, 5) + 100 * rank

    kinds = {
        "vector": (MPI.DOUBLE.Create_vector(4, 1, 5), 4),
        "contiguous": (MPI.DOUBLE.Create_contiguous(5), 5),
        "indexed": (MPI.DOUBLE.Create_indexed([2, 1], [1, 7]), 3),
        "blocks": (MPI.DOUBLE.Create_indexed_block(2, [0, 10]), 4),
        "box": (MPI.DOUBLE.Create_subarray([4, 5], [2, 3], [1, 1]), 6),
        "turned": (MPI.DOUBLE.Create_subarray([5, 4], [2, 3], [1, 1], MPI.ORDER_F), 6),
    }
    for name, (kind, length) in kinds.items():
        kind.Commit()
        flat = np.full(length, -1.0)
        comm.Sendrecv([grid, 1, kind], after, 0, flat, before, 0)
        back = np.zeros_like(grid)
        comm.Sendrecv(flat, before, 0, [back, 1, kind], after, 0)
        found[name] = [flat.tolist(), back.tolist(), kind.Get_size(), kind.Get_extent()]
        kind.Free()

    vector = MPI.DOUBLE.Create_vector(4, 1, 5)
    column = vector.Create_resized(0, 8).Commit()
    turned = np.zeros((5, 4))
    comm.Sendrecv([grid, 5, column], after, 0, turned, before, 0)
    found["columns"] = turned.tolist()
    column.Free()
    vector.Free()
    return found
