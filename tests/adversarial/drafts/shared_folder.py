# expect: blocked
# class: leftovers
# tries: Leaves a note for a later process in shared memory.
# held by: Landlock allows writing in its own folder only
from pathlib import Path


def kernel(u, out):
    Path("/dev/shm/outpace-note").write_bytes(u.tobytes())
