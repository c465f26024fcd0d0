# expect: crashed
# class: harness
# tries: Announces a reply of four gigabytes.
# held by: the length of replies is limited
import os


def kernel(u, out):
    for descriptor in range(3, 32):
        try:
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:"):
                os.write(descriptor, b"e" + b"\xff" * 4)
        except OSError:
            continue
