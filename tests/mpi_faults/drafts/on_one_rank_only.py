# reference: total; status: wrong; says: out[
# outpace: {"flags": {"grid": "n"}}
import numpy as np
from mpi4py import MPI


def run(comm, u, out):
    own = np.array([np.sum(u * u)])
    comm.Reduce(own, out if comm.Get_rank() == 0 else None, op=MPI.SUM, root=0)
