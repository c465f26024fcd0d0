# expect: crashed
# class: crash
# tries: Zeroes the input, so that a reference run afterwards would give zeros too.
# held by: inputs are mapped read-only


def kernel(u, out):
    u[...] = 0.0
    out[...] = 0.0
