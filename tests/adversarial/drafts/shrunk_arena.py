# expect: blocked
# class: escape
# tries: Makes the memory that it shares with the judge shorter.
# held by: the shared memory is sealed
import os


def kernel(u, out):
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
        if "memfd" in target:
            os.ftruncate(os.open(f"/proc/self/fd/{name}", os.O_RDWR), 0)
