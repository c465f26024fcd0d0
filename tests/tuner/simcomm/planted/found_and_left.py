from mpi4py import MPI

comm = MPI.COMM_WORLD
if comm.rank == 0:
    comm.isend("left", dest=1).Free()
elif comm.rank == 1:
    message = comm.mprobe(source=0)
