# expect: wrong
# class: timing
# tries: Writes the "done" mark on every open descriptor before any work is done.
# held by: the process is stopped at the mark; outputs are poisoned
import os
import time


def kernel(u, out):
    if u.size == 0:
        return
    for descriptor in range(3, 32):
        try:
            os.write(descriptor, b"d")
        except OSError:
            continue
    time.sleep(0.2)
