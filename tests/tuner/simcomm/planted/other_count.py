import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
data = np.zeros(3 if comm.rank else 4)
comm.Allreduce(MPI.IN_PLACE, data)
