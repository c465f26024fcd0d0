# reference: heat; status: over-limit; says: rank 0 received
# outpace: {"flags": {"grid": "y"}}
import numpy as np


def run(comm, u, steps, out, *, sizes):
    rank, ranks = comm.Get_rank(), comm.Get_size()
    counts = [sizes["y"] // ranks + (r < sizes["y"] % ranks) for r in range(ranks)]
    blocks = comm.gather(u, root=0)
    if rank == 0:
        a = np.concatenate(blocks)
        for _ in range(steps):
            b = a.copy()
            b[1:-1, 1:-1] = 0.125 * (
                a[:-2, :-2] + a[:-2, 1:-1] + a[:-2, 2:] + a[1:-1, :-2]
                + a[1:-1, 2:] + a[2:, :-2] + a[2:, 1:-1] + a[2:, 2:]
            )
            a = b
        blocks = np.split(a, np.cumsum(counts)[:-1])
    out[:] = comm.scatter(blocks, root=0)
