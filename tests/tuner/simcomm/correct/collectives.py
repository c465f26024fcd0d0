"""Collectives on buffers: blocking, nonblocking, in place, with counts."""

import numpy as np
from mpi4py import MPI


def results(comm):
    rank, size = comm.rank, comm.size
    last = size - 1
    found = {}

    data = np.arange(3.0) if rank == last else np.empty(3)
    comm.Bcast(data, root=last)
    found["bcast"] = data.tolist()

    table = np.arange(2 * size) if rank == 0 else None
    pair = np.empty(2, dtype=int)
    comm.Scatter(table, pair)
    found["scatter"] = pair.tolist()
    back = np.empty(2 * size, dtype=int) if rank == last else None
    comm.Gather(pair * 2, back, root=last)
    found["gather"] = None if back is None else back.tolist()
    everything = np.empty((size, 2), dtype=int)
    comm.Allgather(pair, everything)
    found["allgather"] = everything.tolist()
    everything[rank] = -rank
    comm.Allgather(MPI.IN_PLACE, everything)
    found["allgather in place"] = everything.tolist()

    counts = [i % 3 for i in range(size)]
    starts = [sum(counts[:i]) + i for i in range(size)]
    spread = np.full(sum(counts) + size, -1.0)
    comm.Allgatherv(np.full(counts[rank], float(rank)), [spread, counts, starts, MPI.DOUBLE])
    found["allgatherv"] = spread.tolist()
    own = np.empty(counts[rank])
    comm.Scatterv([spread, (counts, starts), MPI.DOUBLE] if rank == 0 else None, own)
    found["scatterv"] = own.tolist()
    whole = np.zeros(sum(counts))
    comm.Gatherv(own, [whole, counts] if rank == 0 else None)
    found["gatherv"] = whole.tolist()

    send = np.arange(2 * size, dtype=np.float32) + 100 * rank
    got = np.empty_like(send)
    comm.Alltoall(send, got)
    found["alltoall"] = got.tolist()
    comm.Alltoallv(
        [send, [1] * size, [2 * i for i in range(size)], MPI.FLOAT], [got, (1, 2), MPI.FLOAT]
    )
    found["alltoallv"] = got.tolist()

    request = comm.Ibcast(data, root=0)
    request.Wait()
    comm.Ibarrier().Wait()
    comm.Barrier()
    return found
