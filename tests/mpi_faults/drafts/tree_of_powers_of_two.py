# reference: total; status: timeout; says: Deadlock: rank 0 waits in Recv
# outpace: {"flags": {"grid": "n"}}
import numpy as np


def run(comm, u, out):
    rank, ranks, apart = comm.Get_rank(), comm.Get_size(), 1
    own, other = np.array([np.sum(u * u)]), np.empty(1)
    while apart < ranks:
        if rank % (2 * apart):
            comm.Send(own, rank - apart)
            break
        comm.Recv(other, (rank + apart) % ranks)
        own += other
        apart *= 2
    comm.Bcast(own)
    out[...] = own[0]
