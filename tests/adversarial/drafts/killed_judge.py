# expect: blocked
# Sends the judge a signal.
import os
import signal


def kernel(u, out):
    os.kill(os.getppid(), signal.SIGKILL)
