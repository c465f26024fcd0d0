# reference: smooth; status: checked; says: right on
# outpace: {"flags": {"grid": "n"}}
import numpy as np
from mpi4py import MPI


def run(comm, u, out, *, sizes):
    rank, ranks, n = comm.Get_rank(), comm.Get_size(), sizes["n"]
    if n == 0:
        return
    last = min(ranks, n) - 1
    left = rank - 1 if 0 < rank <= last else MPI.PROC_NULL
    right = rank + 1 if rank < last else MPI.PROC_NULL
    a = np.full(out.size + 2, np.nan, dtype=np.float32)
    own = u[1:] if rank == 0 else u
    a[1 : own.size + 1] = own  # the last rank owns the ghost cell at its end
    if rank == 0:
        a[0] = u[0]
    comm.Sendrecv(a[-2:-1].copy(), right, 0, a[:1], left, 0)
    comm.Sendrecv(a[1:2].copy(), left, 1, a[-1:], right, 1)
    out[:] = (a[:-2] + a[1:-1] + a[2:]) * np.float32(1 / 3)
