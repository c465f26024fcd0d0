# reference: count; status: checked; says: right on
# outpace: {"flags": {"grid": "n"}}
import numpy as np
from mpi4py import MPI


def run(comm, u, out):
    own = np.array([np.sum(u)])
    comm.Allreduce(own, out, op=MPI.SUM)
