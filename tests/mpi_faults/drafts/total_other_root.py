# reference: total; status: wrong; says: out[
# outpace: {"flags": {"grid": "n"}}
import numpy as np


def run(comm, u, out):
    got = np.zeros(1)
    comm.Reduce(np.array([np.sum(u * u)]), got, root=0)
    comm.Bcast(got, root=comm.Get_size() - 1)
    out[...] = got[0]
