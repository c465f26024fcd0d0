# expect: crashed
# class: harness
# tries: Answers with JSON that is nested deeper than a parser can follow.
# held by: a malformed reply ends the process
import os


def kernel(u, out):
    body = b"[" * 60_000
    for descriptor in range(3, 32):
        try:
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:"):
                os.write(descriptor, b"e" + len(body).to_bytes(4, "little") + body)
        except OSError:
            continue
