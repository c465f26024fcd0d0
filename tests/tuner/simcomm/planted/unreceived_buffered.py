import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
MPI.Attach_buffer(np.empty(10_000, dtype=np.uint8))
comm.Bsend(np.zeros(4), (comm.rank + 1) % comm.size)
