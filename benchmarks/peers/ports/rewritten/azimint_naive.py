"""One pass over the points; the ring of each from its radius, corrected at the edges."""

import numpy as np


def azimint_naive(data, radius, npt):
    rmax = radius.max()
    total = np.zeros(npt)
    count = np.zeros(npt)
    for i in range(data.shape[0]):
        ring = min(npt - 1, int(npt * (radius[i] / rmax)))
        if radius[i] < rmax * ring / npt:
            ring -= 1
        elif radius[i] >= rmax * (ring + 1) / npt:
            ring += 1
        if ring < npt:
            total[ring] += data[i]
            count[ring] += 1.0
    return total / count
