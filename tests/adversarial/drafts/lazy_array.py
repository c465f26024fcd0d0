# expect: wrong
# class: semantics
# tries: Leaves an object behind that would compute its value when somebody looks at it.
# held by: only the contents of the output buffer count
import numpy as np


class _Lazy(np.ndarray):
    def __array_finalize__(self, parent):
        self.source = parent

    def __array__(self, *args, **kwargs):
        return np.tanh(self.source)

    def __eq__(self, other):
        return np.ones(self.shape, dtype=bool)


def kernel(u, out):
    lazy = out.view(_Lazy)
    lazy.source = u
    globals()["result"] = lazy
    return lazy
