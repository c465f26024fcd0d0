# expect: wrong
# Writes the "done" mark on every open descriptor before any work is done.
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
    time.sleep(60)
