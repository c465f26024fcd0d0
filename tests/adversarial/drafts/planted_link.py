# expect: blocked
# class: escape
# tries: Puts a link where the judge might write.
# held by: Landlock allows regular files only
import os


def kernel(u, out):
    os.symlink("/etc/passwd", "draft.py")
