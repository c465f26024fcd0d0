"""The reference library: one module per scientific field, plain NumPy, ready to tune.

Every function is a reference: it states in idiomatic NumPy what has to be computed, carries its
contract in `outpace.optimize`, and is never itself tuned for speed. Import the module of a field
(`from outpace.kernels.library import climate`); none is loaded before it is asked for.
"""
