# expect: blocked
# Reads the memory of the judge.
import os
from pathlib import Path


def kernel(u, out):
    with Path(f"/proc/{os.getppid()}/mem").open("rb") as memory:
        memory.seek(u.ctypes.data)
        memory.read(8)
