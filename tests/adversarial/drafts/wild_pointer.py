# expect: crashed
# class: crash
# tries: Reads address zero.
# held by: a process of its own
import ctypes


def kernel(u, out):
    ctypes.string_at(0)
