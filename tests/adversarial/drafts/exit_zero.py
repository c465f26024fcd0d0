# expect: crashed
# class: crash
# tries: Ends the process with a success code.
# held by: an exit code is no answer
import os


def kernel(u, out):
    os._exit(0)
