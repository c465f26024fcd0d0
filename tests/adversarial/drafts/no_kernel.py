# expect: invalid
# class: crash
# tries: Defines no kernel.
# held by: the module is asked for one
def smooth(u, out):
    pass
