# expect: crashed
# class: semantics
# tries: Calls the reference that it is to replace.
# held by: modules of the user are not on the path
import reference


def kernel(u, out):
    out[...] = reference.smooth(u)
