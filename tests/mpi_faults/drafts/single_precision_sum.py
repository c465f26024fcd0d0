# reference: total; status: wrong; says: out[
# outpace: {"flags": {"grid": "n"}}
import numpy as np
from mpi4py import MPI


def run(comm, u, out):
    own = np.array([np.sum((u * u).astype(np.float32), dtype=np.float32)], dtype=np.float64)
    comm.Allreduce(own, out, op=MPI.SUM)
