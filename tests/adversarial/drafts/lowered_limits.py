# expect: blocked
# class: escape
# tries: Takes the judge's descriptors away.
# held by: seccomp refuses the limits of others; they are in another namespace
import os
import resource


def kernel(u, out):
    if os.getppid() == 0:
        raise PermissionError("the judge is not there")
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))
