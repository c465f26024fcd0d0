from mpi4py import MPI

if MPI.COMM_WORLD.rank == 0:
    MPI.COMM_WORLD.Abort(3)
MPI.COMM_WORLD.Barrier()
