# reference: total; status: wrong; says: out[
# outpace: {"flags": {"grid": "n"}}
import numpy as np
from mpi4py import MPI


def run(comm, u, out):
    own = np.array([np.sum(u * u) + (u[-1] ** 2 if u.size and comm.Get_rank() == 0 else 0.0)])
    comm.Allreduce(own, out, op=MPI.SUM)
