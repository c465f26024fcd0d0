# expect: blocked
# Confines every process it may to one core, the one of the reference among them.
import os


def kernel(u, out):
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            os.sched_setaffinity(int(name), {0})
