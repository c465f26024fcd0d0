# reference: ordered; status: checked; says: right on
# outpace: {"flags": {"grid": "n"}}
import numpy as np


def run(comm, u, out):
    parts = np.empty(comm.Get_size())
    comm.Allgather(np.array([np.sum(u)]), parts)
    out[0] = 0.0
    for part in parts:
        out[0] += part
