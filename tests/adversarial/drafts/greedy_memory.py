# expect: over-limit
# class: limits
# tries: Asks for 100 GB.
# held by: a limit on private memory
import numpy as np


def kernel(u, out):
    out[...] = np.ones(100 * 2**30 // 8)[: u.size]
