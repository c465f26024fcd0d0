# reference: pairs; status: wrong; says: out[
# outpace: {"flags": {"grid": "n"}}
import numpy as np


def run(comm, x, out, *, sizes):
    rank, ranks = comm.Get_rank(), comm.Get_size()
    lengths = [sizes["n"] // ranks + (r < sizes["n"] % ranks) for r in range(ranks)]
    left, right = (rank - 1) % ranks, (rank + 1) % ranks
    visiting = x.copy()
    out[:] = 0.0
    for step in range(max(1, ranks - 1)):
        gap = visiting[None, :, :] - x[:, None, :]
        out[:] += np.sum(gap / (1.0 + np.sum(gap * gap, axis=2, keepdims=True)), axis=1)
        if step < ranks - 1:
            coming = np.empty((lengths[(rank - step - 1) % ranks], x.shape[1]))
            comm.Sendrecv(visiting, right, step, coming, left, step)
            visiting = coming
