# expect: crashed
# class: crash
# tries: Ends the process with success while it is loaded.
# held by: an exit code is no answer
import sys

sys.exit(0)


def kernel(u, out):
    pass
