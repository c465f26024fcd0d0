# expect: blocked
# class: timing
# tries: Confines every process it may to one core, the one of the reference among them.
# held by: seccomp refuses cores and priorities
import os


def kernel(u, out):
    for name in os.listdir("/proc"):
        if name.isdigit():
            os.sched_setaffinity(int(name), {0})
