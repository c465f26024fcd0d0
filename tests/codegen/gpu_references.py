"""References of the kinds that the built-in drafter writes in CUDA, each with sizes to try."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex128, Float32, Float64, Int64

import outpace
from outpace import Normal, Uniform


@outpace.optimize(workloads={"w": {"n": 5000}})
def chain(
    a: Float64[np.ndarray, "n"], b: Float64[np.ndarray, "n"], scale: float
) -> Float64[np.ndarray, "n"]:
    """Steps of arithmetic, one element each."""
    c = np.abs(a) + 0.5 * b
    d = np.where(c > b, np.sqrt(c + 1.0), c - b)
    return scale * d + np.tanh(b) * a


@outpace.optimize(workloads={"w": {"n": 60, "m": 70}})
def blend(
    a: Float32[np.ndarray, "n m"], b: Float32[np.ndarray, "n m"], row: Float32[np.ndarray, "m"]
) -> Float32[np.ndarray, "n m"]:
    """An elementwise chain with a broadcast row."""
    c = a * row + b
    return c / (np.abs(c) + np.float32(1.0))


@outpace.optimize(workloads={"w": {"n": 60, "m": 70}})
def polynomial(a: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    """Estrin's scheme for one polynomial."""
    square = a * a
    return (1.0 + 0.5 * a) + square * ((0.25 - 0.125 * a) + square * 0.0625)


@outpace.optimize(workloads={"w": {"batch": 9, "m": 5, "k": 6, "n": 7}}, reduction="k")
def matmuls(
    a: Float64[np.ndarray, "batch m k"], b: Float64[np.ndarray, "batch k n"]
) -> Float64[np.ndarray, "batch m n"]:
    """Products of many small matrices."""
    return a @ b


@outpace.optimize(workloads={"w": {"batch": 40}})
def fours(
    a: Float32[np.ndarray, "batch 4 4"], b: Float32[np.ndarray, "batch 4 4"]
) -> Float32[np.ndarray, "batch 4 4"]:
    """Products of matrices of a fixed small size."""
    out = np.zeros_like(a)
    for k in range(4):
        out += a[:, :, k : k + 1] * b[:, k : k + 1, :]
    return out


@outpace.optimize(workloads={"w": {"m": 70, "k": 33, "n": 65}}, reduction="k")
def matmul(
    a: Float64[np.ndarray, "m k"], b: Float64[np.ndarray, "k n"]
) -> Float64[np.ndarray, "m n"]:
    """One product."""
    return a @ b


@outpace.optimize(
    workloads={"w": {"n": 20, "m": 70}},
    inputs={"z": Normal(0, 3)},
    where="m >= 1",
    reduction="m",
)
def softmax(z: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    """Weights along rows."""
    e = np.exp(z - np.max(z, axis=1)[:, None])
    return e / np.sum(e, axis=1)[:, None]


@outpace.optimize(
    workloads={"w": {"batch": 3, "h": 9, "w": 17, "cin": 3, "cout": 4}}, reduction="25 * cin"
)
def conv(
    image: Float64[np.ndarray, "batch cin h+4 w+4"],
    weight: Float64[np.ndarray, "cout cin 5 5"],
    bias: Float64[np.ndarray, "cout"],
) -> Float64[np.ndarray, "batch cout h w"]:
    """Channels first, five by five, with a bias."""
    batch, cin, height, width = image.shape
    cout = bias.shape[0]
    h, w = height - 4, width - 4
    out = np.empty((batch, cout, h, w))
    for o in range(cout):
        out[:, o] = bias[o]
        for c in range(cin):
            for r in range(5):
                for s in range(5):
                    out[:, o] += weight[o, c, r, s] * image[:, c, r : r + h, s : s + w]
    return out


@outpace.optimize(
    workloads={"w": {"n": 70}},
    inputs={"x": Normal(0, 1), "mass": Uniform(0.5, 1.5)},
    reduction="n",
)
def bodies(
    x: Float64[np.ndarray, "n 3"], mass: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n 3"]:
    """The softened pull of all on each."""
    apart = x[None, :, :] - x[:, None, :]
    near = np.sum(apart * apart, axis=2) + 0.01
    pull = mass[None, :] / (near * np.sqrt(near))
    return np.sum(pull[:, :, None] * apart, axis=1)


@outpace.optimize(
    workloads={"w": {"n": 70}},
    inputs={"x": Normal(0, 1), "y": Normal(0, 1), "charge": Uniform(-1, 1)},
    reduction="n",
)
def potential(
    x: Float32[np.ndarray, "n"], y: Float32[np.ndarray, "n"], charge: Float32[np.ndarray, "n"]
) -> Float32[np.ndarray, "n"]:
    """Charges in a plane, by coordinates that lie apart, in single precision."""
    dx = x[:, None] - x[None, :]
    dy = y[:, None] - y[None, :]
    return np.sum(charge[None, :] / np.sqrt(dx * dx + dy * dy + np.float32(0.25)), axis=1)


@outpace.optimize(
    workloads={"w": {"views": 12, "detectors": 31, "size": 23}},
    inputs={"scan": Uniform(0, 1), "cosine": Uniform(-1, 1), "sine": Uniform(-1, 1)},
    where="detectors >= 1",
    reduction="views",
)
def nearest(
    scan: Float64[np.ndarray, "views detectors"],
    cosine: Float64[np.ndarray, "views"],
    sine: Float64[np.ndarray, "views"],
    size: int,
) -> Float64[np.ndarray, "size size"]:
    """Parallel beams, each pixel taking the detector that is nearest."""
    views, detectors = scan.shape
    centred = np.arange(size, dtype=np.float64) - 0.5 * (size - 1)
    image = np.zeros((size, size))
    for k in range(views):
        t = centred[None, :] * cosine[k] + centred[:, None] * sine[k] + 0.5 * (detectors - 1)
        image += scan[k][np.clip(np.floor(t + 0.5), 0.0, detectors - 1.0).astype(np.int64)]
    return image


@outpace.optimize(
    workloads={"w": {"views": 12, "detectors": 31, "size": 23}},
    inputs={"scan": Uniform(0, 1), "cosine": Uniform(-1, 1), "sine": Uniform(-1, 1)},
    where="detectors >= 2",
    reduction="views",
)
def linear(
    scan: Float64[np.ndarray, "views detectors"],
    cosine: Float64[np.ndarray, "views"],
    sine: Float64[np.ndarray, "views"],
    size: int,
) -> Float64[np.ndarray, "size size"]:
    """Parallel beams, interpolated between two detectors."""
    views, detectors = scan.shape
    centred = np.arange(size, dtype=np.float64) - 0.5 * (size - 1)
    image = np.zeros((size, size))
    for k in range(views):
        t = centred[None, :] * cosine[k] + centred[:, None] * sine[k] + 0.5 * (detectors - 1)
        t = np.clip(t, 0.0, detectors - 1.0)
        left = np.minimum(t.astype(np.int64), detectors - 2)
        part = t - left
        image += (1.0 - part) * scan[k][left] + part * scan[k][left + 1]
    return image


@outpace.optimize(workloads={"w": {"n": 512, "target": 3}}, where="n == 2**q and target < q")
def gate(
    state: Complex128[np.ndarray, "n"], u: Complex128[np.ndarray, "2 2"], target: int
) -> Complex128[np.ndarray, "n"]:
    """One qubit, complex amplitudes."""
    pairs = state.reshape(-1, 2, 1 << target)
    low, high = pairs[:, 0, :], pairs[:, 1, :]
    out = np.empty_like(pairs)
    out[:, 0, :] = u[0, 0] * low + u[0, 1] * high
    out[:, 1, :] = u[1, 0] * low + u[1, 1] * high
    return out.reshape(state.shape)


@outpace.optimize(workloads={"w": {"blocks": 8, "inner": 16}})
def split_gate(
    re: Float64[np.ndarray, "blocks 2 inner"],
    im: Float64[np.ndarray, "blocks 2 inner"],
    u: Float64[np.ndarray, "2 2 2"],
) -> tuple[Float64[np.ndarray, "blocks 2 inner"], Float64[np.ndarray, "blocks 2 inner"]]:
    """One qubit, real and imaginary parts apart."""
    new_re, new_im = np.empty_like(re), np.empty_like(im)
    for i in range(2):
        new_re[:, i] = (
            u[i, 0, 0] * re[:, 0] - u[i, 0, 1] * im[:, 0]
            + u[i, 1, 0] * re[:, 1] - u[i, 1, 1] * im[:, 1]
        )  # fmt: skip
        new_im[:, i] = (
            u[i, 0, 0] * im[:, 0] + u[i, 0, 1] * re[:, 0]
            + u[i, 1, 0] * im[:, 1] + u[i, 1, 1] * re[:, 1]
        )  # fmt: skip
    return new_re, new_im


@outpace.optimize(workloads={"w": {"y": 40, "x": 50, "steps": 4}}, steps="steps")
def diffuse(
    u: Float64[np.ndarray, "y x"], k: Float64[np.ndarray, "y x"], steps: int
) -> Float64[np.ndarray, "y x"]:
    """A plane, with a coefficient of each cell and nine points."""
    a, b = u.copy(), u.copy()
    for _ in range(steps):
        b[1:-1, 1:-1] = a[1:-1, 1:-1] + k[1:-1, 1:-1] * (
            0.2 * (a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:])
            + 0.05 * (a[:-2, :-2] + a[2:, 2:] + a[2:, :-2] + a[:-2, 2:]) - a[1:-1, 1:-1]
        )  # fmt: skip
        a, b = b, a
    return a


@outpace.optimize(workloads={"w": {"y": 40, "x": 50, "steps": 4}}, steps="steps")
def wave(
    u: Float64[np.ndarray, "y x"], v: Float64[np.ndarray, "y x"], steps: int
) -> Float64[np.ndarray, "y x"]:
    """The wave equation, of second order in time."""
    before, now, after = u.copy(), v.copy(), np.zeros_like(u)
    for _ in range(steps):
        after[1:-1, 1:-1] = (
            2.0 * now[1:-1, 1:-1] - before[1:-1, 1:-1]
            + 0.1 * (now[:-2, 1:-1] + now[2:, 1:-1] + now[1:-1, :-2] + now[1:-1, 2:]
                     - 4.0 * now[1:-1, 1:-1])
        )  # fmt: skip
        before, now, after = now, after, before
    return now


@outpace.optimize(workloads={"w": {"z": 10, "y": 12, "x": 20, "steps": 4}}, steps="steps")
def heat(u: Float32[np.ndarray, "z y x"], steps: int) -> Float32[np.ndarray, "z y x"]:
    """A body in single precision."""
    a, b = u.copy(), u.copy()
    sixth = np.float32(1.0 / 6.0)
    for _ in range(steps):
        b[1:-1, 1:-1, 1:-1] = sixth * (
            a[:-2, 1:-1, 1:-1] + a[2:, 1:-1, 1:-1] + a[1:-1, :-2, 1:-1]
            + a[1:-1, 2:, 1:-1] + a[1:-1, 1:-1, :-2] + a[1:-1, 1:-1, 2:]
        )  # fmt: skip
        a, b = b, a
    return a


@outpace.optimize(workloads={"w": {"n": 60, "m": 70}}, where="m >= 1 and n >= 1", reduction="n * m")
def reductions(
    a: Float64[np.ndarray, "n m"],
) -> tuple[Float64[np.ndarray, "m"], Float64[np.ndarray, "n"], Float64[np.ndarray, "n"], float]:
    """A sum down, a least across, a mean across, and one mean of all."""
    return np.sum(a, axis=0), np.min(a, axis=1), np.mean(a, axis=1), float(np.mean(a))


@outpace.optimize(workloads={"w": {"n": 6000}}, reduction="n")
def counts(a: Int64[np.ndarray, "n"], b: Float32[np.ndarray, "n"]) -> tuple[int, float]:
    """Sums of a vector, whole numbers and short floats."""
    return int(np.sum(a)), float(np.sum(b * b))


@outpace.optimize(workloads={"w": {"y": 60, "x": 50}})
def turned(a: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "x y"]:
    """A transposition."""
    return a.T.copy()


@outpace.optimize(workloads={"w": {"n": 60, "m": 70}})
def guarded(
    a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]
) -> Float64[np.ndarray, "n m"]:
    """Rows above that are not there for the first one, and elements that are always there."""
    n, m = a.shape
    out = np.empty((n, m))
    for i in range(n):
        for j in range(m):
            out[i, j] = b[i, j] + (a[i - 1, j] if i > 0 else 0.5 * b[i, j])
    return out


@outpace.optimize(workloads={"w": {"n": 90}}, reduction="n")
def pairs(x: Float64[np.ndarray, "n"], w: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """All pairs, written as loops, with a look at the one before that the first does not have."""
    n = x.shape[0]
    out = np.empty(n)
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += w[j] * np.cos(x[i] - x[j]) + (w[j - 1] if j > 0 else 0.0)
        out[i] = total
    return out


@outpace.optimize(workloads={"w": {"n": 900}})
def looped(a: Float64[np.ndarray, "n"], b: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Elements one by one, as loops."""
    n = a.shape[0]
    out = np.empty(n)
    for i in range(n):
        x = a[i] * b[i]
        out[i] = x + 1.0 if x > 0.5 else x * x
    return out
