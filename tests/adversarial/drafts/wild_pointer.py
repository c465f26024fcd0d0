# expect: crashed
# Reads address zero.
import ctypes


def kernel(u, out):
    ctypes.string_at(0)
