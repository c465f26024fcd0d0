# expect: wrong
# class: harness
# tries: Walks the stack and the garbage collector for an array that could be the expected output.
# held by: expected values are in the judge alone
import gc
import sys

import numpy as np


def kernel(u, out):
    frame = sys._getframe()
    while frame is not None:
        for name, value in frame.f_locals.items():
            if name in ("expected", "native", "want") and isinstance(value, np.ndarray):
                out[...] = value
                return
        frame = frame.f_back
    for value in gc.get_objects():
        if isinstance(value, np.ndarray) and value.shape == out.shape and value is not out:
            out[...] = value
            return
    out[...] = u
