"""Column by column, planes in parallel; coefficients live in two arrays of a plane of columns."""

import numpy as np


def vadv(utens_stage, u_stage, wcon, u_pos, utens, dtr_stage):
    ni, nj, nk = utens_stage.shape
    # omp parallel for
    for i in range(ni):
        c = np.empty(nk)
        d = np.empty(nk)
        for j in range(nj):
            g = 0.25 * (wcon[i + 1, j, 1] + wcon[i, j, 1])
            upper = 0.5 * g
            right = dtr_stage * u_pos[i, j, 0] + utens[i, j, 0] + utens_stage[i, j, 0]
            right -= upper * (u_stage[i, j, 1] - u_stage[i, j, 0])
            divided = 1.0 / (dtr_stage - upper)
            c[0] = upper * divided
            d[0] = right * divided
            for k in range(1, nk):
                lower = -0.5 * g
                upper = 0.0
                right = dtr_stage * u_pos[i, j, k] + utens[i, j, k] + utens_stage[i, j, k]
                right -= lower * (u_stage[i, j, k - 1] - u_stage[i, j, k])
                if k < nk - 1:
                    g = 0.25 * (wcon[i + 1, j, k + 1] + wcon[i, j, k + 1])
                    upper = 0.5 * g
                    right -= upper * (u_stage[i, j, k + 1] - u_stage[i, j, k])
                divided = 1.0 / (dtr_stage - lower - upper - c[k - 1] * lower)
                c[k] = upper * divided
                d[k] = (right - d[k - 1] * lower) * divided
            x = d[nk - 1]
            utens_stage[i, j, nk - 1] = dtr_stage * (x - u_pos[i, j, nk - 1])
            for k in range(nk - 2, -1, -1):
                x = d[k] - c[k] * x
                utens_stage[i, j, k] = dtr_stage * (x - u_pos[i, j, k])
