import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
other = comm.rank ^ 1
mine, theirs = np.full(1000, float(comm.rank)), np.empty(1000)
if other < comm.size:
    comm.Send(mine, dest=other)
    comm.Recv(theirs, source=other)
