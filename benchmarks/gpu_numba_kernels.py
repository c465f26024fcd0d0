"""Kernels for numba-cuda by hand, as its users write them: one thread an element, no tuning.

Each function takes the arguments of the reference of its name as NumPy has them, and gives one
without arguments that runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import numpy as np
from numba import cuda

Call = Callable[[], tuple[Any, ...]]
_FLAT, _SQUARE = (256,), (8, 32)


def _grid(shape: Sequence[int], block: Sequence[int]) -> tuple[int, ...]:
    return tuple(ceil(n / b) for n, b in zip(shape, block, strict=True))


class _Result:
    """A device array with CuPy's way of coming to the host."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def get(self) -> Any:
        return self._array.copy_to_host()


def _calling(run: Callable[..., Any], arrays: Sequence[Any], *, on_gpu: bool) -> Call:
    """A call of a function over device arrays, with transfers in it or without."""
    there = [cuda.to_device(a) for a in arrays]
    if on_gpu:
        return lambda: (_Result(run(*there)),)
    return lambda: (run(*[cuda.to_device(a) for a in arrays]).copy_to_host(),)


@cuda.jit
def _transpose(a, out):
    j, i = cuda.grid(2)
    if i < out.shape[1] and j < out.shape[0]:
        out[j, i] = a[i, j]


def transpose(given: Sequence[Any], *, on_gpu: bool) -> Call:
    def run(a: Any) -> Any:
        out = cuda.device_array((a.shape[1], a.shape[0]), a.dtype)
        _transpose[_grid(out.shape, _SQUARE), _SQUARE](a, out)
        return out

    return _calling(run, given, on_gpu=on_gpu)


@cuda.jit
def _jacobi(a, b):
    j, i = cuda.grid(2)
    if 0 < i < a.shape[0] - 1 and 0 < j < a.shape[1] - 1:
        b[i, j] = 0.25 * (a[i - 1, j] + a[i + 1, j] + a[i, j - 1] + a[i, j + 1])


def jacobi_2d(given: Sequence[Any], *, on_gpu: bool) -> Call:
    start, steps = given

    def run(u: Any) -> Any:
        a, b = cuda.device_array_like(u), cuda.device_array_like(u)
        a.copy_to_device(u)
        b.copy_to_device(u)
        for _ in range(steps):
            # Rows along y: threads that are neighbours read what lies side by side along x.
            _jacobi[_grid(a.shape[::-1], _SQUARE[::-1]), _SQUARE[::-1]](a, b)
            a, b = b, a
        return a

    return _calling(run, [start], on_gpu=on_gpu)


@cuda.jit(device=True)
def _laplacian(f, i, j, k):
    return f[i + 1, j, k] + f[i - 1, j, k] + f[i, j + 1, k] + f[i, j - 1, k] - 4.0 * f[i, j, k]


@cuda.jit
def _hdiff(f, c, out):
    k, j, i = cuda.grid(3)
    if i >= out.shape[0] or j >= out.shape[1] or k >= out.shape[2]:
        return
    i, j = i + 2, j + 2
    here = _laplacian(f, i, j, k)
    east = _laplacian(f, i + 1, j, k) - here
    if east * (f[i + 1, j, k] - f[i, j, k]) > 0.0:
        east = 0.0
    west = here - _laplacian(f, i - 1, j, k)
    if west * (f[i, j, k] - f[i - 1, j, k]) > 0.0:
        west = 0.0
    north = _laplacian(f, i, j + 1, k) - here
    if north * (f[i, j + 1, k] - f[i, j, k]) > 0.0:
        north = 0.0
    south = here - _laplacian(f, i, j - 1, k)
    if south * (f[i, j, k] - f[i, j - 1, k]) > 0.0:
        south = 0.0
    out[i - 2, j - 2, k] = f[i, j, k] - c[i - 2, j - 2, k] * (east - west + north - south)


def hdiff(given: Sequence[Any], *, on_gpu: bool) -> Call:
    def run(f: Any, c: Any) -> Any:
        out = cuda.device_array(c.shape, c.dtype)
        _hdiff[_grid(out.shape[::-1], (32, 4, 2)), (32, 4, 2)](f, c, out)
        return out

    return _calling(run, given, on_gpu=on_gpu)


@cuda.jit
def _dot(x, y, total):
    part = cuda.shared.array(256, np.float64)
    t = cuda.threadIdx.x
    value = 0.0
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        value += x[i] * y[i]
    part[t] = value
    cuda.syncthreads()
    width = 128
    while width > 0:
        if t < width:
            part[t] += part[t + width]
        cuda.syncthreads()
        width //= 2
    if t == 0:
        cuda.atomic.add(total, 0, part[0])


def dot(given: Sequence[Any], *, on_gpu: bool) -> Call:
    def run(x: Any, y: Any) -> Any:
        total = cuda.to_device(np.zeros(1))
        _dot[1024, _FLAT](x, y, total)
        return total

    return _calling(run, given, on_gpu=on_gpu)
