"""Messages and collectives of pickled objects."""

from mpi4py import MPI


class Cell:
    def __init__(self, value):
        self.value = value


def results(comm):
    rank, size = comm.rank, comm.size
    found = {}
    found["bcast"] = comm.bcast({"steps": [1, 2]} if rank == size - 1 else None, root=size - 1)
    found["scatter"] = comm.scatter([i * i for i in range(size)] if rank == 0 else None)
    found["gather"] = comm.gather(rank + 1)
    found["allgather"] = comm.allgather("abc"[: rank % 3])
    found["alltoall"] = comm.alltoall([(rank, i) for i in range(size)])
    found["sum"] = comm.allreduce(rank + 1)
    found["max"] = comm.reduce((rank * 3) % 5, op=MPI.MAX)
    found["minloc"] = comm.allreduce(((rank * 2) % 3, rank), op=MPI.MINLOC)
    found["joined"] = comm.scan([rank])
    found["before"] = comm.exscan(rank)
    found["ring"] = comm.sendrecv({"from": rank}, (rank + 1) % size, source=(rank - 1) % size)
    if rank == 0:
        status = MPI.Status()
        got = [comm.recv(source=MPI.ANY_SOURCE, tag=3, status=status) for _ in range(1, size)]
        found["any"] = sorted(got)
    else:
        comm.send(rank * 10, dest=0, tag=3)
    empty = comm.bcast([], root=0)
    empty.append(rank)
    found["apart"] = empty
    return found
