# expect: blocked
# Takes the judge's descriptors away.
import os
import resource


def kernel(u, out):
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))
