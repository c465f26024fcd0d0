from mpi4py import MPI

comm = MPI.COMM_WORLD
comm.send(comm.rank, dest=(comm.rank + 1) % comm.size)
assert comm.recv(source=(comm.rank - 1) % comm.size) == (comm.rank - 1) % comm.size
