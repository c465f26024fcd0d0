"""Two states by turns, planes in parallel."""


def heat_3d(temperature, r, steps):
    nz, ny, nx = temperature.shape
    old = temperature.copy()
    new = temperature.copy()
    for _ in range(steps):
        # omp parallel for
        for i in range(1, nz - 1):
            for j in range(1, ny - 1):
                for k in range(1, nx - 1):
                    new[i, j, k] = old[i, j, k] + r * (
                        old[i + 1, j, k]
                        + old[i - 1, j, k]
                        + old[i, j + 1, k]
                        + old[i, j - 1, k]
                        + old[i, j, k + 1]
                        + old[i, j, k - 1]
                        - 6.0 * old[i, j, k]
                    )
        old, new = new, old
    return old
