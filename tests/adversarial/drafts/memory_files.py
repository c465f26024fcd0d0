# expect: over-limit
# class: limits
# tries: Fills memory that no limit on private memory counts.
# held by: a limit on the size of files
import os


def kernel(u, out):
    memory = os.memfd_create("note")
    try:
        os.posix_fallocate(memory, 0, 1 << 40)
    except OSError as error:
        raise MemoryError("too large") from error
