"""Dense array kernels of learning and signal processing."""

import numpy as np
from jaxtyping import Float32

import outpace
from outpace import Block, Normal, Uniform


@outpace.optimize(
    workloads={
        "small": {"batch": 2, "heads": 8, "queries": 256, "keys": 256},
        "large": {"batch": 4, "heads": 16, "queries": 512, "keys": 512},
    },
    inputs={"logits": Normal(0, 3)},
    split={"batch": Block(halo=0), "heads": Block(halo=0), "queries": Block(halo=0)},
    where="keys >= 1",
    reduction="keys",
)
def softmax(
    logits: Float32[np.ndarray, "batch heads queries keys"],
) -> Float32[np.ndarray, "batch heads queries keys"]:
    """Turn attention logits into weights along the last axis, without overflow.

    For each row z, with the largest entry taken out before the exponential::

        out_k = exp(z_k - max(z)) / (sum over l of exp(z_l - max(z)))

    Args:
        logits: finite scores, dimensionless.

    Returns:
        Weights between 0 and 1 whose rows sum to 1, float32.

    References:
        P. Blanchard, D. J. Higham and N. J. Higham, "Accurately Computing the Log-Sum-Exp and
        Softmax Functions", IMA Journal of Numerical Analysis 41 (2021), 2311-2330.
        A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.2.1.
    """
    weights = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return weights / np.sum(weights, axis=-1, keepdims=True)


@outpace.optimize(
    workloads={
        "small": {"batch": 4, "rows": 64, "cols": 64, "cin": 16, "cout": 16},
        "large": {"batch": 16, "rows": 112, "cols": 112, "cin": 32, "cout": 32},
    },
    inputs={"image": Normal(0, 1), "kernel": Uniform(-0.5, 0.5), "bias": Uniform(-0.5, 0.5)},
    split={"batch": Block(halo=0), "rows": Block(halo=1), "cols": Block(halo=1)},
    reduction="9 * cin",
)
def conv2d(
    image: Float32[np.ndarray, "batch rows+2 cols+2 cin"],
    kernel: Float32[np.ndarray, "3 3 cin cout"],
    bias: Float32[np.ndarray, "cout"],
) -> Float32[np.ndarray, "batch rows cols cout"]:
    """Convolve images, channels last, with a bank of 3 by 3 kernels, and add a bias.

    The convolution of neural networks, which does not flip the kernel (a cross-correlation)::

        out[n, y, x, o] = bias[o] + sum over r, s, c of image[n, y+r, x+s, c] * kernel[r, s, c, o]

    Args:
        image: input with a border of one pixel on each side, which the caller has padded.
        kernel: weights, indexed by row, column, input channel and output channel.
        bias: offset of each output channel.

    Returns:
        The output without the border, float32.

    References:
        V. Dumoulin and F. Visin, "A Guide to Convolution Arithmetic for Deep Learning",
        arXiv:1603.07285.
    """
    batch, height, width, _ = image.shape
    rows, cols = height - 2, width - 2
    out = np.zeros((batch, rows, cols, bias.shape[0]), dtype=image.dtype)
    out += bias
    for r in range(3):
        for s in range(3):
            window = image[:, r : r + rows, s : s + cols, :]
            out += np.tensordot(window, kernel[r, s], axes=1)
    return out
