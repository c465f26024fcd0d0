# reference: pairs; status: over-limit; says: the work is not shared
# outpace: {"flags": {"grid": "n"}}
import numpy as np


def run(comm, x, out, *, sizes):
    ranks = comm.Get_size()
    counts = [sizes["n"] // ranks + (r < sizes["n"] % ranks) for r in range(ranks)]
    blocks = comm.gather(x, root=0)
    if comm.Get_rank() == 0:
        x = np.concatenate(blocks)
        gap = x[None, :, :] - x[:, None, :]
        pull = np.sum(gap / (1.0 + np.sum(gap * gap, axis=2, keepdims=True)), axis=1)
        blocks = np.split(pull, np.cumsum(counts)[:-1])
    out[:] = comm.scatter(blocks, root=0)
