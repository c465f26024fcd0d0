# reference: ordered; status: wrong; says: order of messages
# outpace: {"flags": {"grid": "n"}}
import numpy as np


def run(comm, u, out):
    out[0], part = np.sum(u), np.empty(1)
    if comm.Get_rank() > 0:
        comm.Send(out, 0)
    else:
        for _ in range(comm.Get_size() - 1):
            comm.Recv(part)
            out[0] += part[0]
    comm.Bcast(out, root=0)
