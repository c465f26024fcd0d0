import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
data = np.zeros(4)
if comm.rank == 0:
    requests = [comm.Isend(data, dest) for dest in range(1, comm.size)]
else:
    comm.Recv(data, source=0)
