import numpy as np
from mpi4py import MPI

window = MPI.Win.Create(np.zeros(4), comm=MPI.COMM_WORLD)
