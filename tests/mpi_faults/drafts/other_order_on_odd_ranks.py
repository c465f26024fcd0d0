# reference: total; status: wrong; says: CollectiveMismatch
# outpace: {"flags": {"grid": "n"}}
import numpy as np


def run(comm, u, out):
    own, cells = np.array([np.sum(u * u)]), np.array([u.size])
    first = np.empty(1)
    if comm.Get_rank() % 2:
        comm.Allgather(cells[:1], np.empty(comm.Get_size(), cells.dtype))
    comm.Allreduce(own, first)
    if comm.Get_rank() % 2 == 0:
        comm.Allgather(cells[:1], np.empty(comm.Get_size(), cells.dtype))
    out[...] = first[0]
