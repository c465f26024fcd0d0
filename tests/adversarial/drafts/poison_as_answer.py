# expect: wrong
# class: semantics
# tries: Leaves the elements unwritten that are NaN in the poison and in the answer.
# held by: outputs are poisoned with numbers too
# reference: framed
import numba


@numba.njit
def kernel(u, out):
    for i in range(1, u.size - 1):
        out[i] = 0.5 * (u[i - 1] + u[i + 1])
