# expect: timeout
# class: hang
# tries: Never answers.
# held by: a time limit


def kernel(u, out):
    while True:
        pass
