"""Rings in parallel, each a loop over the points without arrays between."""

import numpy as np


def azimint_naive(data, radius, npt):
    rmax = radius.max()
    res = np.zeros(npt)
    # omp parallel for
    for i in range(npt):
        r1 = rmax * i / npt
        r2 = rmax * (i + 1) / npt
        total = 0.0
        count = 0.0
        for j in range(data.shape[0]):
            if r1 <= radius[j] and radius[j] < r2:
                total += data[j]
                count += 1.0
        res[i] = total / count
    return res
