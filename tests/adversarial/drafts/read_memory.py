# expect: blocked
# class: escape
# tries: Reads the memory of the judge.
# held by: Landlock keeps processes outside of it unseen
import os
from pathlib import Path


def kernel(u, out):
    if os.getppid() == 0:
        raise PermissionError("the judge is not there")
    with Path(f"/proc/{os.getppid()}/mem").open("rb") as memory:
        memory.seek(u.ctypes.data)
        memory.read(8)
