import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
value, total = np.ones(1), np.empty(1)
if comm.rank == 0:
    comm.Reduce(value, total)
else:
    comm.Allreduce(value, total)
