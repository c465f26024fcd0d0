# reference: highest; status: wrong; says: out[
# outpace: {"flags": {"grid": "n"}}
import numpy as np
from mpi4py import MPI


def run(comm, u, out):
    own = np.array([np.max(u, initial=0.0)])
    comm.Allreduce(own, out, op=MPI.MAX)
