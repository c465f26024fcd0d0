"""Requests that are begun again and again."""

import numpy as np
from mpi4py import MPI


def results(comm):
    rank, size = comm.rank, comm.size
    mine, theirs = np.zeros(2), np.empty(2)
    requests = [
        comm.Send_init(mine, (rank + 1) % size),
        comm.Recv_init(theirs, (rank - 1) % size),
    ]
    got = []
    for step in range(3):
        mine[:] = rank + 100 * step
        MPI.Prequest.Startall(requests)
        MPI.Request.Waitall(requests)
        got.append(theirs.tolist())
    for request in requests:
        request.Free()

    if not hasattr(MPI.Comm, "Allreduce_init"):
        return {"got": got}
    total = np.empty(2)
    sums = comm.Allreduce_init(mine, total, MPI.SUM)
    for step in range(2):
        mine[:] = rank * (step + 1)
        sums.Start()
        sums.Wait()
        got.append(total.tolist())
    sums.Free()
    return {"got": got}
