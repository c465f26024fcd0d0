import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
total = np.empty(1)
comm.Allreduce(np.ones(1), total, op=MPI.MAX if comm.rank else MPI.SUM)
