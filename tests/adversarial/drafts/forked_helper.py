# expect: blocked
# class: escape
# tries: Leaves the work to a child process that nobody stops.
# held by: seccomp allows threads only
import os


def kernel(u, out):
    if os.fork() == 0:
        out[...] = u
        os._exit(0)
