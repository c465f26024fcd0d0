# reference: total; status: crashed; says: ZeroDivisionError: integer division or modulo by zero, in line 6 of the draft
# outpace: {"flags": {"grid": "n"}}
import numpy as np


def run(comm, u, out):
    cells = 4 // u.size
    own = np.array([np.sum(u * u)]) * min(cells + 1, 1)
    comm.Allreduce(own, out)
