"""Dynamic programming, graphs, recursive filters, checksums, transforms, sparse products."""

from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64, Int32, UInt8, UInt32

import outpace
from outpace import Integers, Uniform


@outpace.optimize(
    workloads={"small": {"n": 90}, "large": {"n": 500}},
    inputs={"path": Integers(0, 1000)},
    mutates=("path",),
)
def floyd_warshall(path: Int32[np.ndarray, "n n"]) -> None:
    """Shortest paths between all pairs of nodes."""
    for k in range(path.shape[0]):
        path[:] = np.minimum(path[:], np.add.outer(path[:, k], path[k, :]))


def _match(a: int, b: int) -> int:
    """Whether two bases pair."""
    if a + b == 3:
        return 1
    return 0


@outpace.optimize(
    workloads={"small": {"n": 40}, "large": {"n": 90}},
    inputs={"seq": Integers(0, 4)},
)
def nussinov(seq: Int32[np.ndarray, "n"]) -> Int32[np.ndarray, "n n"]:
    """Largest number of nested pairs in every part of a sequence."""
    n = seq.shape[0]
    table = np.zeros((n, n), np.int32)
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            if j - 1 >= 0:
                table[i, j] = max(table[i, j], table[i, j - 1])
            if i + 1 < n:
                table[i, j] = max(table[i, j], table[i + 1, j])
            if j - 1 >= 0 and i + 1 < n:
                if i < j - 1:
                    table[i, j] = max(table[i, j], table[i + 1, j - 1] + _match(seq[i], seq[j]))
                else:
                    table[i, j] = max(table[i, j], table[i + 1, j - 1])
            for k in range(i + 1, j):
                table[i, j] = max(table[i, j], table[i, k] + table[k + 1, j])
    return table


@outpace.optimize(
    workloads={"small": {"n": 800}, "large": {"n": 20_000}},
    inputs={"data": Integers(0, 256)},
)
def crc16(data: UInt8[np.ndarray, "n"]) -> int:
    """The 16-bit checksum of X.25, bit by bit."""
    poly = 0x8408
    crc = 0xFFFF
    for i in range(data.size):
        current = 0xFF & int(data[i])
        for _ in range(8):
            if (crc & 0x0001) ^ (current & 0x0001):
                crc = (crc >> 1) ^ poly
            else:
                crc >>= 1
            current >>= 1
    crc = ~crc & 0xFFFF
    crc = (crc << 8) | ((crc >> 8) & 0xFF)
    return crc & 0xFFFF


@outpace.optimize(
    workloads={"small": {"w": 100, "h": 80}, "large": {"w": 1200, "h": 1000}},
    inputs={"image": Uniform(0, 1), "alpha": Uniform(0.2, 0.3)},
    where="w >= 2 and h >= 2",
)
def deriche(alpha: float, image: Float64[np.ndarray, "w h"]) -> Float64[np.ndarray, "w h"]:
    """Recursive edge detection: forwards and backwards along both axes."""
    k = (1.0 - np.exp(-alpha)) * (1.0 - np.exp(-alpha))
    k /= 1.0 + alpha * np.exp(-alpha) - np.exp(2.0 * alpha)
    a1 = a5 = k
    a2 = a6 = k * np.exp(-alpha) * (alpha - 1.0)
    a3 = a7 = k * np.exp(-alpha) * (alpha + 1.0)
    a4 = a8 = -k * np.exp(-2.0 * alpha)
    b1 = 2.0 ** (-alpha)
    b2 = -np.exp(-2.0 * alpha)
    c1 = c2 = 1

    y1 = np.empty_like(image)
    y1[:, 0] = a1 * image[:, 0]
    y1[:, 1] = a1 * image[:, 1] + a2 * image[:, 0] + b1 * y1[:, 0]
    for j in range(2, image.shape[1]):
        y1[:, j] = a1 * image[:, j] + a2 * image[:, j - 1] + b1 * y1[:, j - 1] + b2 * y1[:, j - 2]

    y2 = np.empty_like(image)
    y2[:, -1] = 0.0
    y2[:, -2] = a3 * image[:, -1]
    for j in range(image.shape[1] - 3, -1, -1):
        y2[:, j] = (
            a3 * image[:, j + 1] + a4 * image[:, j + 2] + b1 * y2[:, j + 1] + b2 * y2[:, j + 2]
        )
    out = c1 * (y1 + y2)

    y1[0, :] = a5 * out[0, :]
    y1[1, :] = a5 * out[1, :] + a6 * out[0, :] + b1 * y1[0, :]
    for i in range(2, image.shape[0]):
        y1[i, :] = a5 * out[i, :] + a6 * out[i - 1, :] + b1 * y1[i - 1, :] + b2 * y1[i - 2, :]
    y2[-1, :] = 0.0
    y2[-2, :] = a7 * out[-1, :]
    for i in range(image.shape[0] - 3, -1, -1):
        y2[i, :] = a7 * out[i + 1, :] + a8 * out[i + 2, :] + b1 * y2[i + 1, :] + b2 * y2[i + 2, :]
    out[:] = c2 * (y1 + y2)
    return out


def _signal(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    n = sizes["n"]
    return {"x": rng.normal(size=n) + 1j * rng.normal(size=n)}


@outpace.optimize(
    workloads={"small": {"n": 4**6, "K": 6}, "large": {"n": 4**9, "K": 9}},
    inputs=_signal,
    where="n == 4**K and K >= 1",
    reduction="n",
)
def stockham_fft(x: Complex128[np.ndarray, "n"], K: int) -> Complex128[np.ndarray, "n"]:
    """Fourier transform of 4**K points by Stockham's self-sorting algorithm of radix 4."""
    n = x.shape[0]
    radix = np.arange(4)
    dft = np.exp(-2.0j * np.pi * radix[:, None] * radix[None, :] / 4)
    y = x.copy()
    for i in range(K):
        stride = 4**i
        rest = 4 ** (K - i - 1)
        parts = np.reshape(y, (4, rest, stride))
        turn = np.exp(-2.0j * np.pi * radix[:, None] * np.arange(stride)[None, :] / (4 * stride))
        turned = parts * turn[:, None, :]
        mixed = np.reshape(dft @ np.reshape(turned, (4, rest * stride)), (4, rest, stride))
        y = np.reshape(np.transpose(mixed, (1, 0, 2)), (n,)).copy()
    return y


def _sparse(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    rows, cols, nnz = sizes["rows"], sizes["cols"], sizes["nnz"]
    starts = np.sort(rng.integers(0, nnz + 1, rows + 1)).astype(np.uint32)
    starts[0], starts[-1] = 0, nnz
    return {
        "starts": starts,
        "columns": rng.integers(0, max(cols, 1), nnz, dtype=np.uint32),
        "values": rng.random(nnz),
        "x": rng.random(cols),
    }


@outpace.optimize(
    workloads={
        "small": {"rows": 500, "cols": 500, "nnz": 8000},
        "large": {"rows": 20_000, "cols": 20_000, "nnz": 400_000},
    },
    inputs=_sparse,
    where="rows >= 1 and cols >= 1",
    reduction="nnz",
)
def spmv(
    starts: UInt32[np.ndarray, "rows+1"],
    columns: UInt32[np.ndarray, "nnz"],
    values: Float64[np.ndarray, "nnz"],
    x: Float64[np.ndarray, "cols"],
) -> Float64[np.ndarray, "rows"]:
    """A sparse matrix in compressed rows times a vector."""
    y = np.empty(starts.size - 1, values.dtype)
    for i in range(starts.size - 1):
        cols = columns[starts[i] : starts[i + 1]]
        vals = values[starts[i] : starts[i + 1]]
        y[i] = vals @ x[cols]
    return y
