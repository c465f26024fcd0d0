"""Fields row by row in parallel."""


def fdtd_2d(ex, ey, hz, pulse):
    rows, columns = hz.shape
    for t in range(pulse.shape[0]):
        for j in range(columns):
            ey[0, j] = pulse[t]
        # omp parallel for
        for i in range(1, rows):
            for j in range(columns):
                ey[i, j] -= 0.5 * (hz[i, j] - hz[i - 1, j])
        # omp parallel for
        for i in range(rows):
            for j in range(1, columns):
                ex[i, j] -= 0.5 * (hz[i, j] - hz[i, j - 1])
        # omp parallel for
        for i in range(rows - 1):
            for j in range(columns - 1):
                hz[i, j] -= 0.7 * (ex[i, j + 1] - ex[i, j] + ey[i + 1, j] - ey[i, j])
