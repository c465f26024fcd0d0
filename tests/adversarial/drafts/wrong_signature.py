# expect: invalid
# class: crash
# tries: Takes other arguments than the contract says.
# held by: the signature is checked before a call
def kernel(u):
    pass
