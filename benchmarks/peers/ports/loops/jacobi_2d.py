"""Sweeps as loops over rows in parallel."""


def jacobi_2d(u, steps):
    rows, columns = u.shape
    old = u.copy()
    new = u.copy()
    for _ in range(steps):
        # omp parallel for
        for i in range(1, rows - 1):
            for j in range(1, columns - 1):
                new[i, j] = 0.25 * (old[i - 1, j] + old[i + 1, j] + old[i, j - 1] + old[i, j + 1])
        old, new = new, old
    return old
