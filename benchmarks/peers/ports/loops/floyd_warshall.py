"""Rows in parallel for each intermediate node."""


def floyd_warshall(path):
    n = path.shape[0]
    for k in range(n):
        # omp parallel for
        for i in range(n):
            through = path[i, k]
            for j in range(n):
                path[i, j] = min(path[i, j], through + path[k, j])
