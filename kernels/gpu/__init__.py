"""Kernels on a GPU: finding the card, and launching what was compiled for it.

None of it has been run on a GPU yet; docs/cuda.md says what has.
"""
