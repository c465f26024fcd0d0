"""Point by point in parallel."""

import numpy as np


def arc_distance(theta_1, phi_1, theta_2, phi_2):
    n = theta_1.shape[0]
    out = np.empty(n)
    # omp parallel for
    for i in range(n):
        a = np.sin((theta_2[i] - theta_1[i]) / 2)
        b = np.sin((phi_2[i] - phi_1[i]) / 2)
        temp = a * a + np.cos(theta_1[i]) * np.cos(theta_2[i]) * b * b
        out[i] = 2 * np.arctan2(np.sqrt(temp), np.sqrt(1 - temp))
    return out
