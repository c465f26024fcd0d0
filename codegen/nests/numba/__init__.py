"""Programs as Python source for Numba."""
