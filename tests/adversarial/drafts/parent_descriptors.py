# expect: blocked
# class: escape
# tries: Opens the files that the judge has open.
# held by: Landlock keeps processes outside of it unseen
import os
from pathlib import Path


def kernel(u, out):
    if os.getppid() == 0:
        raise PermissionError("the judge is not there")
    for link in Path(f"/proc/{os.getppid()}/fd").iterdir():
        link.open("r+b").close()
