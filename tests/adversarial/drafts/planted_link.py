# expect: blocked
# Puts a link where the judge might write.
import os


def kernel(u, out):
    os.symlink("/etc/passwd", "draft.py")
