# expect: crashed
# class: crash
# tries: Calls itself until the stack is full.
# held by: a process of its own
def kernel(u, out):
    kernel(u, out)
