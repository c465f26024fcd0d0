# expect: blocked
# class: timing
# tries: Sends itself SIGCONT all the time, so that it cannot be stopped.
# held by: seccomp refuses that signal
import os
import signal


def kernel(u, out):
    while True:
        os.kill(os.getpid(), signal.SIGCONT)
