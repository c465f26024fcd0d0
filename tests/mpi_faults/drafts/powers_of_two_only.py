# reference: total; status: wrong; says: out[
# outpace: {"flags": {"grid": "n"}}
import numpy as np
from mpi4py import MPI


def run(comm, u, out):
    own = np.array([np.sum(u * u)])
    other, bit = np.empty(1), 1
    while bit < comm.Get_size():
        partner = comm.Get_rank() ^ bit
        if partner < comm.Get_size():
            comm.Sendrecv(own, partner, 0, other, partner, 0)
            own = own + other
        bit *= 2
    out[:] = own
