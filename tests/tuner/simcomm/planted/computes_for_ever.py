from mpi4py import MPI

MPI.COMM_WORLD.Barrier()
# fmt: off
while MPI.COMM_WORLD.rank == 0: pass  # noqa: E701
# fmt: on
MPI.COMM_WORLD.Barrier()
