# expect: timeout
# Never answers.


def kernel(u, out):
    while True:
        pass
