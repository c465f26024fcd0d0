# reference: count; status: wrong; says: out[
# outpace: {"flags": {"grid": "n"}}
import numpy as np
from mpi4py import MPI


def run(comm, u, out):
    own, whole = np.array([np.sum(u) & 0xFFFFFFFF], dtype=np.uint32), np.empty(1, dtype=np.uint32)
    comm.Allreduce(own, whole, op=MPI.SUM)
    out[:] = whole
