# expect: blocked
# Leaves the work to a child process that nobody stops.
import os


def kernel(u, out):
    if os.fork() == 0:
        out[...] = u
        os._exit(0)
