# expect: blocked
# class: escape
# tries: Attaches to the judge as a debugger does.
# held by: seccomp refuses ptrace
import ctypes
import os

_PTRACE_SEIZE = 0x4206


def kernel(u, out):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(_PTRACE_SEIZE, os.getppid(), None, None) != 0:
        raise PermissionError(ctypes.get_errno(), "ptrace")
