# reference: advect; status: wrong; says: 
# outpace: {"flags": {"grid": "n"}}
import numpy as np


def run(comm, u, steps, out, *, sizes):
    rank, ranks = comm.Get_rank(), comm.Get_size()
    if sizes["n"] < ranks:  # some block is shorter than the halo
        whole(comm, u, steps, out, sizes["n"])
        return
    left, right = (rank - 1) % ranks, (rank + 1) % ranks
    a = np.full(u.size + 3, np.nan)
    a[2:-1] = u
    for _ in range(steps):
        comm.Sendrecv(a[-3:-1].copy(), right, 0, a[:2], left, 0)
        comm.Sendrecv(a[2:3].copy(), left, 1, a[-1:], right, 1)
        a[2:-1] = 0.7 * a[2:-1] + 0.4 * a[1:-2] - 0.2 * a[:-3] + 0.1 * a[3:]
    out[:] = a[2:-1]


def whole(comm, u, steps, out, extent):
    counts = [extent // comm.Get_size() + (r < extent % comm.Get_size()) for r in range(comm.Get_size())]
    starts = [sum(counts[:r]) for r in range(len(counts))]
    a = np.empty(extent)
    comm.Allgatherv(u, [a, counts])
    for _ in range(steps):
        a = 0.7 * a + 0.4 * np.roll(a, 1) - 0.2 * np.roll(a, 2) + 0.1 * np.roll(a, -1)
    out[:] = a[starts[comm.Get_rank()] :][: u.size]
