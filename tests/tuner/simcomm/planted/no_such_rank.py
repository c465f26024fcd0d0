import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
comm.Sendrecv(np.zeros(1), comm.rank + 1, 0, np.zeros(1), comm.rank - 1)
