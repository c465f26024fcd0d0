from mpi4py import MPI

while MPI.COMM_WORLD.rank == 0:
    pass
MPI.COMM_WORLD.Barrier()
