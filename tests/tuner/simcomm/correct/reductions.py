"""Reductions with every operation, scans, in place, and operations of one's own."""

import numpy as np
from mpi4py import MPI


def matrices(a, b, datatype):
    left = np.frombuffer(a, dtype="d").reshape(2, 2)
    right = np.frombuffer(b, dtype="d").reshape(2, 2)
    right[:] = left @ right


def results(comm):
    rank, size = comm.rank, comm.size
    found = {}
    values = np.array([rank + 1, size - rank, 3], dtype=np.int64)
    for name in ("SUM", "PROD", "MIN", "MAX", "LAND", "LOR", "LXOR", "BAND", "BOR", "BXOR"):
        total = np.empty_like(values)
        comm.Allreduce(values, total, op=getattr(MPI, name))
        found[name] = total.tolist()

    place = values.astype(float)
    comm.Reduce(MPI.IN_PLACE if rank == 0 else place, place if rank == 0 else None)
    found["in place"] = place.tolist() if rank == 0 else None

    pairs = np.zeros(2, dtype=np.dtype([("value", "d"), ("index", "i4")], align=True))
    pairs["value"], pairs["index"] = [(rank * 2) % 3, -rank], rank
    best = np.empty_like(pairs)
    for op in (MPI.MAXLOC, MPI.MINLOC):
        comm.Allreduce([pairs, 2, MPI.DOUBLE_INT], [best, 2, MPI.DOUBLE_INT], op=op)
        found[str(op is MPI.MAXLOC)] = [best["value"].tolist(), best["index"].tolist()]

    running, before = np.empty_like(values), np.zeros_like(values)
    comm.Scan(values, running)
    comm.Exscan(values, before)
    found["scan"] = [running.tolist(), before.tolist() if rank else None]

    block = np.empty(2)
    comm.Reduce_scatter_block(np.arange(2.0 * size) + rank, block)
    found["block"] = block.tolist()
    counts = [i % 2 + 1 for i in range(size)]
    piece = np.empty(counts[rank])
    comm.Reduce_scatter(np.arange(float(sum(counts))), piece, counts)
    found["piece"] = piece.tolist()

    product = MPI.Op.Create(matrices, commute=False)
    matrix = np.array([[1.0, rank], [0.0, 2.0]])
    result = np.empty((2, 2))
    comm.Allreduce(matrix, result, op=product)
    product.Free()
    found["own"] = result.tolist()
    request = comm.Iallreduce(MPI.IN_PLACE, values, MPI.MAX)
    request.Wait()
    found["later"] = values.tolist()
    return found
