"""References of which some statements are lifted to loops and others stay Python.

The body is split into *parts*, runs of statements that become functions for Numba, and statements
that stay as they are, loops and branches around parts among them. What the names of a part hold is
found by running the reference at a few small sizes. That is a guess: the written function asks
before every part whether it holds, and runs the statements themselves where it does not.
"""
