"""A parallel map over pairs for each intermediate node."""

import dace
from sizes import n


@dace.program
def floyd_warshall(path: dace.int32[n, n]):
    for k in range(n):
        for i, j in dace.map[0:n, 0:n]:
            path[i, j] = min(path[i, j], path[i, k] + path[k, j])
