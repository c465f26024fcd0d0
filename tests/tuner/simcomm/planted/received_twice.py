import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
halo, data = np.zeros((2, 4)), np.zeros(4)
requests = [comm.Irecv(halo, tag=1), comm.Irecv(halo[1], tag=2)]
comm.Send(data, (comm.rank + 1) % comm.size, tag=1)
comm.Send(data, (comm.rank + 1) % comm.size, tag=2)
MPI.Request.Waitall(requests)
