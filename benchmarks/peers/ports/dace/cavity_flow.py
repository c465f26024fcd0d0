"""Old states in arrays of their own: assignments that overlap what they read are not kept apart."""

import dace
import numpy as np
from sizes import nx, ny, steps, sweeps


@dace.program
def cavity_flow(
    u: dace.float64[ny, nx],
    v: dace.float64[ny, nx],
    p: dace.float64[ny, nx],
    lid: dace.float64,
    dt: dace.float64,
    h: dace.float64,
    rho: dace.float64,
    nu: dace.float64,
):
    un = np.empty_like(u)
    vn = np.empty_like(v)
    pn = np.empty_like(p)
    source = np.zeros_like(p)
    for _ in range(steps):
        un[:] = u[:]
        vn[:] = v[:]
        ux = (un[1:-1, 2:] - un[1:-1, :-2]) / (2.0 * h)
        uy = (un[2:, 1:-1] - un[:-2, 1:-1]) / (2.0 * h)
        vx = (vn[1:-1, 2:] - vn[1:-1, :-2]) / (2.0 * h)
        vy = (vn[2:, 1:-1] - vn[:-2, 1:-1]) / (2.0 * h)
        source[1:-1, 1:-1] = rho * ((ux + vy) / dt - ux * ux - 2.0 * uy * vx - vy * vy)
        for _ in range(sweeps):
            pn[:] = p[:]
            p[1:-1, 1:-1] = 0.25 * (
                pn[1:-1, 2:]
                + pn[1:-1, :-2]
                + pn[2:, 1:-1]
                + pn[:-2, 1:-1]
                - h * h * source[1:-1, 1:-1]
            )
            p[:, 0] = p[:, 1]
            p[:, -1] = p[:, -2]
            p[0, :] = p[1, :]
            p[-1, :] = p[-2, :]
        u[1:-1, 1:-1] = un[1:-1, 1:-1] + dt * (
            nu
            * (un[1:-1, 2:] + un[1:-1, :-2] + un[2:, 1:-1] + un[:-2, 1:-1] - 4.0 * un[1:-1, 1:-1])
            / (h * h)
            - un[1:-1, 1:-1] * (un[1:-1, 2:] - un[1:-1, :-2]) / (2.0 * h)
            - vn[1:-1, 1:-1] * (un[2:, 1:-1] - un[:-2, 1:-1]) / (2.0 * h)
            - (p[1:-1, 2:] - p[1:-1, :-2]) / (2.0 * h * rho)
        )
        v[1:-1, 1:-1] = vn[1:-1, 1:-1] + dt * (
            nu
            * (vn[1:-1, 2:] + vn[1:-1, :-2] + vn[2:, 1:-1] + vn[:-2, 1:-1] - 4.0 * vn[1:-1, 1:-1])
            / (h * h)
            - un[1:-1, 1:-1] * (vn[1:-1, 2:] - vn[1:-1, :-2]) / (2.0 * h)
            - vn[1:-1, 1:-1] * (vn[2:, 1:-1] - vn[:-2, 1:-1]) / (2.0 * h)
            - (p[2:, 1:-1] - p[:-2, 1:-1]) / (2.0 * h * rho)
        )
        u[:, 0] = 0.0
        u[:, -1] = 0.0
        u[0, :] = 0.0
        u[-1, :] = lid
        v[:, 0] = 0.0
        v[:, -1] = 0.0
        v[0, :] = 0.0
        v[-1, :] = 0.0
