# reference: total; status: invalid; says: a thread that the program has started
# outpace: {"flags": {"grid": "n"}}
import threading

import numpy as np


def run(comm, u, out):
    own = np.array([np.sum(u * u)])
    thread = threading.Thread(target=comm.Allreduce, args=(own, out))
    thread.start()
    thread.join()
