import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
request = comm.Irecv(np.empty(1), source=comm.rank)
while not request.Test():
    pass
