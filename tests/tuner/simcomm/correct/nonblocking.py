"""Requests: all, any, some, tested, freed; ANY_SOURCE; probes."""

import numpy as np
from mpi4py import MPI


def results(comm):
    rank, size = comm.rank, comm.size
    found = {}

    ghosts = np.full((2, 3), -1.0)
    low = rank - 1 if rank else MPI.PROC_NULL
    high = rank + 1 if rank + 1 < size else MPI.PROC_NULL
    own = np.full(3, float(rank))
    MPI.Request.Waitall(
        [
            comm.Irecv(ghosts[0], low),
            comm.Irecv(ghosts[1], high),
            comm.Isend(own, low),
            comm.Issend(own, high),
        ]
    )
    found["halo"] = ghosts.tolist()

    if rank == 0:
        room = [np.empty(1) for _ in range(1, size)]
        requests = [comm.Irecv(room[i - 1], MPI.ANY_SOURCE, tag=5) for i in range(1, size)]
        order = []
        while (at := MPI.Request.Waitany(requests)) != MPI.UNDEFINED:
            order.append(at)
        found["any"] = [sorted(order), sorted(float(r[0]) for r in room)]
        total = 0
        for _ in range(1, size):
            status = MPI.Status()
            comm.Probe(MPI.ANY_SOURCE, 6, status)
            message = np.empty(status.Get_count(MPI.LONG), dtype="l")
            comm.Recv(message, status.source, status.tag)
            total += int(message.sum()) * status.source
        found["probed"] = total
    else:
        comm.Send(np.full(1, float(rank)), 0, tag=5)
        comm.Send(np.arange(rank + 1, dtype="l"), 0, tag=6)

    got = np.empty(2)
    request = comm.Irecv(got, (rank - 1) % size)
    sent = comm.Isend(np.full(2, rank + 1.0), (rank + 1) % size)
    while not request.Test():
        pass
    found["tested"] = got.tolist()
    sent.wait()
    found["null"] = [request == MPI.REQUEST_NULL, bool(sent)]

    lone = comm.Irecv(np.empty(1), rank, tag=99)
    lone.Cancel()
    status = MPI.Status()
    lone.Wait(status)
    found["cancelled"] = status.Is_cancelled()

    requests = [comm.isend((rank, i), (rank + 1) % size, tag=i) for i in range(3)]
    requests += [comm.irecv(source=(rank - 1) % size, tag=i) for i in (2, 1, 0)]
    found["objects"] = MPI.Request.waitall(requests)[3:]
    return found
