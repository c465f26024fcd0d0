# expect: blocked
# class: leftovers
# tries: Leaves a note for a later process among the temporary files.
# held by: Landlock allows writing in its own folder only
from pathlib import Path


def kernel(u, out):
    Path("/tmp/outpace-note").write_bytes(u.tobytes())
