# expect: crashed
# class: crash
# tries: Dies of a signal that has no name, which the judge would have to print.
# held by: signals are told by their number
import os


def kernel(u, out):
    os.kill(os.getpid(), 40)
    raise RuntimeError("the first process of a namespace ignores it")
