# expect: over-limit
# Asks for 100 GB.
import numpy as np


def kernel(u, out):
    out[...] = np.ones(100 * 2**30 // 8)[: u.size]
