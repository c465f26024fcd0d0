# expect: blocked
# class: escape
# tries: Reads the environment of the judge, where secrets may be.
# held by: Landlock keeps processes outside of it unseen
import os
from pathlib import Path


def kernel(u, out):
    if os.getppid() == 0:
        raise PermissionError("the judge is not there")
    out[...] = Path(f"/proc/{os.getppid()}/environ").read_bytes()[0]
