import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
data, got = np.zeros(4), np.empty(4)
request = comm.Isend(data, (comm.rank + 1) % comm.size)
data[2] = 1.0
comm.Recv(got)
request.Wait()
