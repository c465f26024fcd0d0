"""Forces body by body in parallel, summed in registers."""

import numpy as np


def _accelerations(x, mass, softening, a):
    n = x.shape[0]
    # omp parallel for
    for i in range(n):
        ax = 0.0
        ay = 0.0
        az = 0.0
        for j in range(n):
            dx = x[j, 0] - x[i, 0]
            dy = x[j, 1] - x[i, 1]
            dz = x[j, 2] - x[i, 2]
            square = dx * dx + dy * dy + dz * dz + softening * softening
            pull = mass[j] / (square * np.sqrt(square))
            ax += pull * dx
            ay += pull * dy
            az += pull * dz
        a[i, 0] = ax
        a[i, 1] = ay
        a[i, 2] = az


def nbody(position, velocity, mass, steps, dt, softening):
    x = position.copy()
    v = velocity.copy()
    a = np.empty_like(x)
    _accelerations(x, mass, softening, a)
    for _ in range(steps):
        v += 0.5 * dt * a
        x += dt * v
        _accelerations(x, mass, softening, a)
        v += 0.5 * dt * a
    return x, v
