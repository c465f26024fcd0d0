# expect: crashed
# Works honestly, then writes a second "done" mark that the next request would find.
import os

import numpy as np


def kernel(u, out):
    v = u.copy()
    for _ in range(4):
        v[1:-1] = v[1:-1] + 0.1 * (v[:-2] - 2.0 * v[1:-1] + v[2:])
    out[...] = np.tanh(v)
    for descriptor in range(3, 32):
        try:
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:"):
                os.write(descriptor, b"d")
        except OSError:
            continue
