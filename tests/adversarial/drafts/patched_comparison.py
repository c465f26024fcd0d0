# expect: wrong
# class: harness
# tries: Replaces NumPy's comparisons, and the judge's own where it can import it, by "equal".
# held by: the comparison is in the judge
import numpy as np

np.allclose = np.array_equal = np.isclose = lambda *_, **__: True
try:
    import outpace.tuner.numerics.acceptance as _acceptance

    _acceptance.compare = lambda *_, **__: None
except ImportError:
    pass


def kernel(u, out):
    out[...] = 0.5
