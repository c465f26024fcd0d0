from mpi4py import MPI

comm = MPI.COMM_WORLD
comm.Barrier()
MPI.Finalize()
comm.Barrier()
