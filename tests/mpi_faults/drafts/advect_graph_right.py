# reference: advect; status: checked; says: right on
# outpace: {"flags": {"grid": "n"}}
import numpy as np
from mpi4py import MPI


def run(comm, u, steps, out, *, sizes):
    n, ranks, rank = sizes["n"], comm.Get_size(), comm.Get_rank()
    ends = np.cumsum([0, *(n // ranks + (r < n % ranks) for r in range(ranks))])
    first, own = ends[rank], u.size

    def halo(r):
        """The cells around a rank's own, which may be those of several others, or its own."""
        around = (ends[r] - 2, ends[r] - 1, ends[r + 1]) if ends[r + 1] > ends[r] else ()
        return [c % n for c in around]

    def of(r, q):
        """Which of them a rank sends."""
        return [c for c in halo(r) if ends[q] <= c < ends[q + 1]]

    sources = [q for q in range(ranks) if of(rank, q)]
    targets = [q for q in range(ranks) if of(q, rank)]
    graph = comm.Create_dist_graph_adjacent(sources, targets)
    leaving = [c - first for q in targets for c in of(q, rank)]
    coming = [i for q in sources for i, c in enumerate(halo(rank)) if ends[q] <= c < ends[q + 1]]
    given, got = [len(of(q, rank)) for q in targets], [len(of(rank, q)) for q in sources]
    a = u.copy()
    for step in range(steps):
        ghosts = np.empty(len(coming))
        graph.Neighbor_alltoallv([a[leaving], given], [ghosts, got])
        if own:
            low, lower, high = ghosts[np.argsort(coming)]
            p = np.concatenate([[low, lower], a, [high]])
            a = 0.7 * p[2:-1] + 0.4 * p[1:-2] - 0.2 * p[:-3] + 0.1 * p[3:]
    graph.Free()
    out[:] = a
