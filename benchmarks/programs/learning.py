"""Layers of neural networks."""

import numpy as np
from jaxtyping import Float32

import outpace
from outpace import Normal, Uniform


@outpace.optimize(
    workloads={
        "small": {"batch": 4, "h": 12, "w": 12, "k": 3, "cin": 3, "cout": 8},
        "large": {"batch": 8, "h": 32, "w": 32, "k": 5, "cin": 3, "cout": 16},
    },
    inputs={"image": Normal(0, 1), "weights": Uniform(-0.5, 0.5), "bias": Uniform(-0.5, 0.5)},
    where="h >= k and w >= k and k >= 1",
    reduction="k * k * cin",
)
def conv2d_bias(
    image: Float32[np.ndarray, "batch h w cin"],
    weights: Float32[np.ndarray, "k k cin cout"],
    bias: Float32[np.ndarray, "cout"],
) -> Float32[np.ndarray, "batch h-k+1 w-k+1 cout"]:
    """Cross-correlation with a bank of square kernels, channels last, and a bias."""
    K = weights.shape[0]
    N = image.shape[0]
    H_out = image.shape[1] - K + 1
    W_out = image.shape[2] - K + 1
    out = np.empty((N, H_out, W_out, weights.shape[3]), dtype=np.float32)
    for i in range(H_out):
        for j in range(W_out):
            out[:, i, j, :] = np.sum(
                image[:, i : i + K, j : j + K, :, np.newaxis] * weights[np.newaxis, :, :, :],
                axis=(1, 2, 3),
            )
    return out + bias


def _relu(x: Float32[np.ndarray, "n m"]) -> Float32[np.ndarray, "n m"]:
    return np.maximum(x, 0)


def _softmax(x: Float32[np.ndarray, "n m"]) -> Float32[np.ndarray, "n m"]:
    largest = np.max(x, axis=-1, keepdims=True)
    weights = np.exp(x - largest)
    return weights / np.sum(weights, axis=-1, keepdims=True)


@outpace.optimize(
    workloads={
        "small": {"n": 8, "c": 100, "h0": 200, "h1": 100, "h2": 50},
        "large": {"n": 32, "c": 1000, "h0": 2000, "h1": 1500, "h2": 1000},
    },
    inputs={
        "x": Normal(0, 1),
        **{n: Uniform(-0.05, 0.05) for n in ("w1", "b1", "w2", "b2", "w3", "b3")},
    },
    where="h2 >= 1",
)
def mlp(
    x: Float32[np.ndarray, "n c"],
    w1: Float32[np.ndarray, "c h0"],
    b1: Float32[np.ndarray, "h0"],
    w2: Float32[np.ndarray, "h0 h1"],
    b2: Float32[np.ndarray, "h1"],
    w3: Float32[np.ndarray, "h1 h2"],
    b3: Float32[np.ndarray, "h2"],
) -> Float32[np.ndarray, "n h2"]:
    """Three dense layers, a softmax at the end."""
    x1 = _relu(x @ w1 + b1)
    x2 = _relu(x1 @ w2 + b2)
    return _softmax(x2 @ w3 + b3)


def _convolved(
    image: Float32[np.ndarray, "batch h w cin"], weights: Float32[np.ndarray, "k k cin cout"]
) -> Float32[np.ndarray, "batch h-k+1 w-k+1 cout"]:
    K = weights.shape[0]
    rows, cols = image.shape[1] - K + 1, image.shape[2] - K + 1
    out = np.empty((image.shape[0], rows, cols, weights.shape[3]), dtype=np.float32)
    for i in range(rows):
        for j in range(cols):
            window = image[:, i : i + K, j : j + K, :, np.newaxis]
            out[:, i, j, :] = np.sum(window * weights[np.newaxis, :, :, :], axis=(1, 2, 3))
    return out


def _normalised(x: Float32[np.ndarray, "n h w c"]) -> Float32[np.ndarray, "n h w c"]:
    mean = np.mean(x, axis=0, keepdims=True)
    std = np.std(x, axis=0, keepdims=True)
    return (x - mean) / np.sqrt(std + 1e-5)


@outpace.optimize(
    workloads={
        "small": {"n": 4, "w": 6, "h": 6, "c1": 16, "c2": 4},
        "large": {"n": 8, "w": 14, "h": 14, "c1": 64, "c2": 16},
    },
    inputs={"x": Normal(0, 1), **{n: Uniform(-0.3, 0.3) for n in ("conv1", "conv2", "conv3")}},
    where="n >= 2",
    reduction="9 * c1",
)
def resnet(
    x: Float32[np.ndarray, "n h w c1"],
    conv1: Float32[np.ndarray, "1 1 c1 c2"],
    conv2: Float32[np.ndarray, "3 3 c2 c2"],
    conv3: Float32[np.ndarray, "1 1 c2 c1"],
) -> Float32[np.ndarray, "n h w c1"]:
    """A bottleneck block with batch normalisation and a skip connection."""
    padded = np.zeros((x.shape[0], x.shape[1] + 2, x.shape[2] + 2, conv1.shape[3]), dtype=x.dtype)
    padded[:, 1:-1, 1:-1, :] = _convolved(x, conv1)
    y = np.maximum(_normalised(padded), 0)
    y = np.maximum(_normalised(_convolved(y, conv2)), 0)
    y = _normalised(_convolved(y, conv3))
    return np.maximum(y + x, 0)


def _pooled(
    x: Float32[np.ndarray, "n h w c"],
) -> Float32[np.ndarray, "n h//2 w//2 c"]:
    out = np.empty((x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]), dtype=x.dtype)
    for i in range(x.shape[1] // 2):
        for j in range(x.shape[2] // 2):
            out[:, i, j, :] = np.max(x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, :], axis=(1, 2))
    return out


@outpace.optimize(
    workloads={
        "small": {"n": 2, "r": 2, "c1": 6, "c2": 16, "d": 64, "f": 84},
        "large": {"n": 16, "r": 5, "c1": 6, "c2": 16, "d": 400, "f": 84},
    },
    inputs={
        "x": Normal(0, 1),
        **{n: Uniform(-0.3, 0.3) for n in ("conv1", "bias1", "conv2", "bias2", "dense", "bias3")},
    },
    where="d == c2 * r * r",
    reduction="25 * c1",
)
def lenet(
    x: Float32[np.ndarray, "n 4*r+12 4*r+12 1"],
    conv1: Float32[np.ndarray, "5 5 1 c1"],
    bias1: Float32[np.ndarray, "c1"],
    conv2: Float32[np.ndarray, "5 5 c1 c2"],
    bias2: Float32[np.ndarray, "c2"],
    dense: Float32[np.ndarray, "d f"],
    bias3: Float32[np.ndarray, "f"],
) -> Float32[np.ndarray, "n f"]:
    """Two convolutions with pooling, then a dense layer."""
    x = _pooled(np.maximum(_convolved(x, conv1) + bias1, 0))
    x = _pooled(np.maximum(_convolved(x, conv2) + bias2, 0))
    flat = np.reshape(x, (x.shape[0], x.shape[1] * x.shape[2] * x.shape[3]))
    return np.maximum(flat @ dense + bias3, 0)
