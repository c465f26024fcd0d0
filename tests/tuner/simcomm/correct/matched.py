"""Messages that are found first and received by their handles, in another order."""

import numpy as np
from mpi4py import MPI


def results(comm):
    rank, size = comm.Get_rank(), comm.Get_size()
    right, left = (rank + 1) % size, (rank - 1) % size
    numbers = np.arange(rank + 3, dtype=np.float64)
    requests = [comm.Isend(numbers, right, 1), comm.Isend(numbers[:1], right, 1)]
    requests.append(comm.isend({"from": rank}, right, 2))
    status = MPI.Status()
    first = comm.Mprobe(MPI.ANY_SOURCE, 1, status)
    length, source = status.Get_count(MPI.DOUBLE), status.Get_source()
    second = comm.mprobe(left, 1)
    named = None
    while named is None:
        named = comm.improbe(left, 2)
    last, whole = np.full(1, -1.0), np.empty(length)
    second.Irecv(last).Wait()
    first.Recv(whole)
    found = named.recv()
    MPI.Request.Waitall(requests)
    nobody = comm.Mprobe(MPI.PROC_NULL)
    nobody.Recv(np.empty(0), status)
    return [length, source, last.tolist(), whole.tolist(), found, status.Get_count()]
