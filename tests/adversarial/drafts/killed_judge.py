# expect: blocked
# class: escape
# tries: Sends the judge a signal.
# held by: seccomp allows signals to itself only
import os
import signal


def kernel(u, out):
    os.kill(os.getppid(), signal.SIGKILL)
