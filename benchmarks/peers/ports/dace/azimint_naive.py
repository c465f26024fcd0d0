"""Rings one after another, points as a parallel map with sums."""

import dace
import numpy as np
from sizes import n, npt


@dace.program
def azimint_naive(data: dace.float64[n], radius: dace.float64[n]):
    rmax = np.amax(radius)
    res = np.zeros((npt,), dtype=np.float64)
    for i in range(npt):
        r1 = rmax * i / npt
        r2 = rmax * (i + 1) / npt
        inside = np.logical_and((r1 <= radius), (radius < r2))
        count = 0
        total = np.float64(0)
        for j in dace.map[0:n]:
            if inside[j]:
                total += data[j]
                count += 1
        res[i] = total / count
    return res
