"""Correct variants that are written anew: blocked, compensated, transposed, by matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


# --- Sums over the first axis ---------------------------------------------------------------------


def sequential(parts: Array) -> Array:
    total = np.zeros_like(parts[0])
    for part in parts:
        total = total + part
    return total


def blocked(parts: Array, width: int = 4) -> Array:
    return sequential(
        np.stack([sequential(parts[at : at + width]) for at in range(0, len(parts), width)])
    )


def lanes(parts: Array, width: int = 8) -> Array:
    """As a vector unit sums: each lane its own share, then the lanes."""
    return sequential(
        np.stack([sequential(parts[at::width]) for at in range(min(width, len(parts)))])
    )


def tree(parts: Array) -> Array:
    while len(parts) > 1:
        odd = parts[len(parts) // 2 * 2 :]
        parts = np.concatenate([parts[0 : len(parts) - len(odd) : 2] + parts[1::2], odd])
    return parts[0]


def compensated(parts: Array) -> Array:
    total, lost = np.zeros_like(parts[0]), np.zeros_like(parts[0])
    for part in parts:
        wanted = part - lost
        new = total + wanted
        lost = (new - total) - wanted
        total = new
    return total


SUMS: dict[str, Callable[[Array], Array]] = {
    "sequential": sequential,
    "blocked": blocked,
    "lanes": lanes,
    "tree": tree,
    "compensated": compensated,
}

# --- Functions of the library ---------------------------------------------------------------------


def softmax_by(add: Callable[[Array], Array]) -> Callable[..., Array]:
    def softmax(logits: Array) -> Array:
        weights = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
        return weights / add(np.moveaxis(weights, -1, 0))[..., None]

    return softmax


def softmax_online(logits: Array) -> Array:
    """One pass: the sum is scaled down whenever the running maximum grows."""
    top = np.full(logits.shape[:-1], -np.inf, logits.dtype)
    total = np.zeros_like(top)
    for k in range(logits.shape[-1]):
        higher = np.maximum(top, logits[..., k])
        total = total * np.exp(top - higher) + np.exp(logits[..., k] - higher)
        top = higher
    return np.exp(logits - top[..., None]) / total[..., None]


def conv2d_by(add: Callable[[Array], Array]) -> Callable[..., Array]:
    def conv2d(image: Array, kernel: Array, bias: Array) -> Array:
        rows, cols = image.shape[1] - 2, image.shape[2] - 2
        terms = [np.broadcast_to(bias, (len(image), rows, cols, len(bias)))]
        for r, s, c in np.ndindex(kernel.shape[:3]):
            terms.append(image[:, r : r + rows, s : s + cols, c, None] * kernel[r, s, c])
        return add(np.stack(terms))

    return conv2d


def conv2d_as_one_product(image: Array, kernel: Array, bias: Array) -> Array:
    rows, cols = image.shape[1] - 2, image.shape[2] - 2
    columns = [image[:, r : r + rows, s : s + cols] for r in range(3) for s in range(3)]
    flat = kernel.reshape(9 * kernel.shape[2], kernel.shape[3])
    return np.concatenate(columns, axis=-1) @ flat + bias


def nbody_by(add: Callable[[Array], Array]) -> Callable[..., tuple[Array, Array]]:
    def accelerate(x: Array, mass: Array, softening: float) -> Array:
        if not len(mass):
            return np.zeros_like(x)
        offset = x[:, None, :] - x[None, :, :]
        square = np.sum(offset * offset, axis=2) + softening * softening
        return add((mass[:, None] / (square * np.sqrt(square)))[:, :, None] * offset)

    def nbody(
        position: Array, velocity: Array, mass: Array, steps: int, dt: float, softening: float
    ) -> tuple[Array, Array]:
        x, v = position.copy(), velocity.copy()
        a = accelerate(x, mass, softening)
        for _ in range(steps):
            v = v + 0.5 * dt * a
            x = x + dt * v
            a = accelerate(x, mass, softening)
            v = v + 0.5 * dt * a
        return x, v

    return nbody


def backproject_by(add: Callable[[Array], Array]) -> Callable[..., Array]:
    def backproject(sinogram: Array, theta: Array, size: int) -> Array:
        views, detectors = sinogram.shape
        if not views:
            return np.zeros((size, size))
        centred = np.arange(size) - 0.5 * (size - 1)
        terms = []
        for k in range(views):
            row = np.pad(sinogram[k], 1)
            at = centred[None, :] * np.cos(theta[k]) + centred[:, None] * np.sin(theta[k])
            at = np.clip(at + 0.5 * (detectors + 1), 0.0, detectors + 1.0)
            left = np.minimum(at.astype(np.int64), detectors)
            terms.append(row[left] + (at - left) * (row[left + 1] - row[left]))
        return add(np.stack(terms)) * (np.pi / views)

    return backproject


def gate_by_parts(state: Array, gate: Array, target: int) -> Array:
    """Real and imaginary parts apart, as compilers without a complex type compute."""
    pairs = state.reshape(-1, 2, 1 << target)
    out = np.empty_like(pairs)
    for i in range(2):
        re = gate[i, 0].real * pairs[:, 0].real - gate[i, 0].imag * pairs[:, 0].imag
        im = gate[i, 0].imag * pairs[:, 0].real + gate[i, 0].real * pairs[:, 0].imag
        re = re + gate[i, 1].real * pairs[:, 1].real - gate[i, 1].imag * pairs[:, 1].imag
        im = im + gate[i, 1].imag * pairs[:, 1].real + gate[i, 1].real * pairs[:, 1].imag
        out[:, i] = re + 1j * im
    return out.reshape(state.shape)


def gate_by_matmul(state: Array, gate: Array, target: int) -> Array:
    pairs = state.reshape(-1, 2, 1 << target)
    return np.matmul(gate, pairs).reshape(state.shape)


def gate_by_einsum(state: Array, gate: Array, target: int) -> Array:
    pairs = state.reshape(-1, 2, 1 << target)
    return np.einsum("ij,njk->nik", gate, pairs).reshape(state.shape)


def jacobi_in_blocks(u: Array, steps: int) -> Array:
    """Blocks of rows, each with its halo, the way a parallel draft cuts the work."""
    old, new = u.copy(), u.copy()
    for _ in range(steps):
        for at in range(1, max(len(u) - 1, 1), 5):
            block = old[at - 1 : min(at + 5, len(u) - 1) + 1]
            side = block[1:-1, :-2] + block[1:-1, 2:]
            new[at : at + len(block) - 2, 1:-1] = (side + (block[:-2] + block[2:])[:, 1:-1]) * 0.25
        old, new = new, old
    return old


def heat_transposed(temperature: Array, r: float, steps: int) -> Array:
    """The axes in the opposite order, and each step written to a second array."""
    old = np.ascontiguousarray(temperature.transpose())
    for _ in range(steps):
        new = old.copy()
        for axis in range(3):
            inner = [slice(1, -1)] * 3
            low, high = list(inner), list(inner)
            low[axis], high[axis] = slice(None, -2), slice(2, None)
            centre = old[tuple(inner)]
            new[tuple(inner)] += r * (old[tuple(low)] - 2 * centre + old[tuple(high)])
        old = new
    return np.ascontiguousarray(old.transpose())


def smith_waterman_by_columns(
    a: Array, b: Array, scores: Array, gap_open: int, gap_extend: int
) -> Array:
    H = np.zeros((len(a) + 1, len(b) + 1), np.int32)
    E = np.zeros(len(a) + 1, np.int32)
    for j in range(1, len(b) + 1):
        F = 0
        for i in range(1, len(a) + 1):
            F = max(F - gap_extend, H[i - 1, j] - gap_open)
            E[i] = max(E[i] - gap_extend, H[i, j - 1] - gap_open)
            H[i, j] = max(0, E[i], F, H[i - 1, j - 1] + scores[a[i - 1], b[j - 1]])
    return H


def first_largest_by_blocks(x: Array) -> Array:
    """The largest of each block, then the first of the largest of these."""
    starts = range(0, x.shape[1], 7)
    best = np.stack([np.argmax(x[:, at : at + 7], axis=1) + at for at in starts], axis=1)
    values = np.take_along_axis(x, best, axis=1)
    return np.take_along_axis(best, np.argmax(values, axis=1)[:, None], axis=1)[:, 0]


ALL: list[tuple[str, str, Callable[..., Any]]] = [
    *(("linalg.softmax", kind, softmax_by(add)) for kind, add in SUMS.items()),
    *(("linalg.conv2d", kind, conv2d_by(add)) for kind, add in SUMS.items()),
    *(("astro.nbody", kind, nbody_by(add)) for kind, add in SUMS.items()),
    *(("medical.backproject", kind, backproject_by(add)) for kind, add in SUMS.items()),
    ("linalg.softmax", "online", softmax_online),
    ("linalg.conv2d", "matrix product", conv2d_as_one_product),
    ("quantum.apply_gate", "parts", gate_by_parts),
    ("quantum.apply_gate", "matrix product", gate_by_matmul),
    ("quantum.apply_gate", "matrix product", gate_by_einsum),
    ("aerospace.jacobi_2d", "blocked", jacobi_in_blocks),
    ("climate.heat_3d", "transposed", heat_transposed),
    ("genomics.smith_waterman", "transposed", smith_waterman_by_columns),
    ("selections.first_largest", "blocked", first_largest_by_blocks),
]
