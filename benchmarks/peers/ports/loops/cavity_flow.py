"""Loops over rows in parallel, the pressure in two arrays by turns."""

import numpy as np


def _source(u, v, rho, dt, h, b):
    ny, nx = u.shape
    # omp parallel for
    for i in range(1, ny - 1):
        for j in range(1, nx - 1):
            ux = (u[i, j + 1] - u[i, j - 1]) / (2.0 * h)
            uy = (u[i + 1, j] - u[i - 1, j]) / (2.0 * h)
            vx = (v[i, j + 1] - v[i, j - 1]) / (2.0 * h)
            vy = (v[i + 1, j] - v[i - 1, j]) / (2.0 * h)
            b[i, j] = h * h * rho * ((ux + vy) / dt - ux * ux - 2.0 * uy * vx - vy * vy)


def _relax(p, b, q):
    ny, nx = p.shape
    # omp parallel for
    for i in range(1, ny - 1):
        for j in range(1, nx - 1):
            q[i, j] = 0.25 * (p[i, j + 1] + p[i, j - 1] + p[i + 1, j] + p[i - 1, j] - b[i, j])
        q[i, 0] = q[i, 1]
        q[i, nx - 1] = q[i, nx - 2]
    for j in range(nx):
        q[0, j] = q[1, j]
        q[ny - 1, j] = q[ny - 2, j]


def _move(u, v, p, dt, h, rho, nu, un, vn):
    ny, nx = u.shape
    # omp parallel for
    for i in range(1, ny - 1):
        for j in range(1, nx - 1):
            uc = u[i, j]
            vc = v[i, j]
            ux = (u[i, j + 1] - u[i, j - 1]) / (2.0 * h)
            uy = (u[i + 1, j] - u[i - 1, j]) / (2.0 * h)
            vx = (v[i, j + 1] - v[i, j - 1]) / (2.0 * h)
            vy = (v[i + 1, j] - v[i - 1, j]) / (2.0 * h)
            px = (p[i, j + 1] - p[i, j - 1]) / (2.0 * h)
            py = (p[i + 1, j] - p[i - 1, j]) / (2.0 * h)
            lu = (u[i, j + 1] + u[i, j - 1] + u[i + 1, j] + u[i - 1, j] - 4.0 * uc) / (h * h)
            lv = (v[i, j + 1] + v[i, j - 1] + v[i + 1, j] + v[i - 1, j] - 4.0 * vc) / (h * h)
            un[i, j] = uc + dt * (nu * lu - uc * ux - vc * uy - px / rho)
            vn[i, j] = vc + dt * (nu * lv - uc * vx - vc * vy - py / rho)


def cavity_flow(u, v, p, steps, sweeps, lid, dt, h, rho, nu):
    b = np.zeros_like(u)
    q = p.copy()
    un = np.zeros_like(u)
    vn = np.zeros_like(v)
    for _ in range(steps):
        _source(u, v, rho, dt, h, b)
        for _ in range(sweeps // 2):
            _relax(p, b, q)
            _relax(q, b, p)
        if sweeps % 2:
            _relax(p, b, q)
            p[:] = q
        _move(u, v, p, dt, h, rho, nu, un, vn)
        u[1:-1, 1:-1] = un[1:-1, 1:-1]
        v[1:-1, 1:-1] = vn[1:-1, 1:-1]
        u[:, 0] = 0.0
        u[:, -1] = 0.0
        u[0, :] = 0.0
        u[-1, :] = lid
        v[:, 0] = 0.0
        v[:, -1] = 0.0
        v[0, :] = 0.0
        v[-1, :] = 0.0
