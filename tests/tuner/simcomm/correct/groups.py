"""Communicators made by splitting and copying."""

import numpy as np
from mpi4py import MPI


def results(comm):
    rank, size = comm.rank, comm.size
    half = comm.Split(rank % 2, -rank)
    found = {"half": [half.rank, half.size, half.allgather(rank)]}
    none = comm.Split(MPI.UNDEFINED if rank == 0 else 1, rank)
    found["none"] = none == MPI.COMM_NULL
    if rank:
        found["rest"] = none.allreduce(1)
        none.Free()

    copy = comm.Dup()
    got = np.empty(1)
    if rank == 0:
        for other in range(1, size):
            comm.Send(np.full(1, 1.0), other)
            copy.Send(np.full(1, 2.0), other)
    else:
        request = comm.Irecv(got, 0)
        other = np.empty(1)
        copy.Recv(other, 0)
        request.Wait()
        found["contexts"] = [got[0], other[0]]
    copy.Free()
    half.Free()
    found["self"] = [MPI.COMM_SELF.size, MPI.COMM_SELF.allreduce(rank)]
    return found
