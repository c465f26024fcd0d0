"""Row by row in parallel, laplacians and fluxes computed where they are needed."""

import numpy as np


def _laplacian(f, i, j, k):
    return f[i + 1, j, k] + f[i - 1, j, k] + f[i, j + 1, k] + f[i, j - 1, k] - 4.0 * f[i, j, k]


def hdiff(field, coeff):
    ni, nj, nk = coeff.shape
    out = np.empty_like(coeff)
    # omp parallel for
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                own = _laplacian(field, i + 2, j + 2, k)
                here = field[i + 2, j + 2, k]
                right = _laplacian(field, i + 3, j + 2, k) - own
                left = own - _laplacian(field, i + 1, j + 2, k)
                upper = _laplacian(field, i + 2, j + 3, k) - own
                lower = own - _laplacian(field, i + 2, j + 1, k)
                right = 0.0 if right * (field[i + 3, j + 2, k] - here) > 0.0 else right
                left = 0.0 if left * (here - field[i + 1, j + 2, k]) > 0.0 else left
                upper = 0.0 if upper * (field[i + 2, j + 3, k] - here) > 0.0 else upper
                lower = 0.0 if lower * (here - field[i + 2, j + 1, k]) > 0.0 else lower
                out[i, j, k] = here - coeff[i, j, k] * (right - left + upper - lower)
    return out
