"""Other compilers for NumPy code, each in an environment of its own, timed as outpace is."""
