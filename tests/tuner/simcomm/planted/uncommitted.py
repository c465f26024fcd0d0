import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
column = MPI.DOUBLE.Create_vector(4, 1, 4)
grid = np.zeros((4, 4))
comm.Sendrecv([grid, 1, column], comm.rank, 0, [np.zeros((4, 4)), 1, column], comm.rank)
