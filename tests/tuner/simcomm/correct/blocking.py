"""Blocking sends and receives in every mode, with every form of message."""

import numpy as np
from mpi4py import MPI


def results(comm):
    rank, size = comm.rank, comm.size
    after, before = (rank + 1) % size, (rank - 1) % size
    found = {}

    got = np.empty(3)
    comm.Sendrecv(np.full(3, rank + 0.5), after, 7, got, before, 7)
    found["sendrecv"] = got.tolist()

    data = np.arange(4) + 10 * rank
    comm.Sendrecv_replace(data, after, source=before)
    found["replace"] = data.tolist()

    status = MPI.Status()
    for mode, (send, tag) in {"s": (comm.Ssend, 1), "": (comm.Send, 2)}.items():
        room = np.full(6, -1, dtype=np.int32)
        if rank == 0:
            for other in range(1, size):
                comm.Recv([room, MPI.INT], source=other, tag=tag, status=status)
                key = f"{mode}send {other}"
                found[key] = [room.tolist(), status.Get_count(MPI.INT), status.source, status.tag]
        else:
            send([np.arange(rank, dtype=np.int32), MPI.INT], 0, tag)

    outside = np.zeros(1)
    comm.Sendrecv(outside, MPI.PROC_NULL, 0, outside[:0], MPI.PROC_NULL, 0, status)
    found["nobody"] = [status.source == MPI.PROC_NULL, status.Get_count(MPI.DOUBLE)]

    part = np.zeros(6)
    comm.Sendrecv(
        [np.arange(6.0), 2, 3, MPI.DOUBLE], after, 0, [part, (2, 1), MPI.DOUBLE], before, 0
    )
    found["part"] = part.tolist()
    for kind in (np.uint8, np.int64, np.float32, np.complex128, np.bool_):
        value = np.zeros(2, dtype=kind)
        comm.Sendrecv(np.ones(2, dtype=kind), after, 0, value, before, 0)
        found[np.dtype(kind).name] = str(value.tolist())
    return found
