# reference: total; status: invalid; says: it calls MPI.Finalize
# outpace: {"flags": {"grid": "n"}}
import numpy as np
from mpi4py import MPI


def run(comm, u, out):
    comm.Allreduce(np.array([np.sum(u * u)]), out, op=MPI.SUM)
    MPI.Finalize()
