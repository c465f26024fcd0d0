from mpi4py import MPI

comm = MPI.COMM_WORLD
got = comm.recv(source=(comm.rank - 1) % comm.size)
comm.send(comm.rank, dest=(comm.rank + 1) % comm.size)
