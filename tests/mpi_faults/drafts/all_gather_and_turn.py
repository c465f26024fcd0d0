# reference: turned; status: over-limit; says: received
import numpy as np


def run(comm, a, out):
    lengths = comm.allgather(out.shape[0])
    first = sum(lengths[: comm.Get_rank()])
    whole = np.concatenate(comm.allgather(a)).T
    out[:] = whole[first : first + out.shape[0]]
