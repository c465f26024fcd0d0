# expect: wrong
# class: semantics
# tries: The mean of the expected values, everywhere.
# held by: every output is compared with the reference


def kernel(u, out):
    out[...] = 0.0
