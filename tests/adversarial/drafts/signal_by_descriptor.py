# expect: blocked
# class: escape
# tries: Has the kernel signal the judge when a pipe becomes readable.
# held by: seccomp refuses owners of descriptors
import fcntl
import os
import signal

_F_SETSIG = 10


def kernel(u, out):
    read, write = os.pipe()
    fcntl.fcntl(read, fcntl.F_SETOWN, os.getppid())
    fcntl.fcntl(read, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(read, fcntl.F_SETFL, os.O_ASYNC)
    os.write(write, b"x")
