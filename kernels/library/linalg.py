"""Dense array kernels of linear algebra, learning and signal processing."""

import numpy as np
from jaxtyping import Complex128, Float32, Float64

import outpace
from outpace import Block, Normal, Pencil, Reduced, Ring, Uniform


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


@outpace.optimize(
    workloads={
        "small": {"m": 128, "k": 128, "n": 128},
        "large": {"m": 768, "k": 768, "n": 768},
    },
    inputs={"a": Uniform(-1, 1), "b": Uniform(-1, 1)},
    split={"m": Block(), "n": Block(), "k": Ring()},
    reduction="k",
)
def matmul(
    a: Float64[np.ndarray, "m k"],
    b: Float64[np.ndarray, "k n"],
) -> Float64[np.ndarray, "m n"]:
    """Multiply two matrices.

    The product of linear algebra::

        out[i, j] = sum over l of a[i, l] * b[l, j]

    Args:
        a: left factor, any unit.
        b: right factor, any unit.

    Returns:
        The product, float64.

    References:
        R. A. van de Geijn and J. Watts, "SUMMA: Scalable Universal Matrix Multiplication
        Algorithm", Concurrency: Practice and Experience 9 (1997), 255-274.
    """
    return a @ b


@outpace.optimize(
    workloads={
        "small": {"y": 300, "x": 200},
        "large": {"y": 4000, "x": 3000},
    },
    inputs={"a": Uniform(-1, 1)},
    split={"y": Pencil(), "x": Pencil()},
)
def transpose(a: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "x y"]:
    """Exchange the axes of a matrix in memory.

    Only the order of the elements changes::

        out[j, i] = a[i, j]

    Args:
        a: any matrix. It is not changed.

    Returns:
        The transposed matrix, float64, a new C-contiguous array.

    References:
        J. Choi, J. J. Dongarra and D. W. Walker, "Parallel Matrix Transpose Algorithms on
        Distributed Memory Concurrent Computers", Parallel Computing 21 (1995), 1387-1405.
    """
    return a.T.copy()


@outpace.optimize(
    workloads={
        "small": {"y": 128, "x": 96},
        "large": {"y": 1024, "x": 1024},
    },
    inputs={"signal": Normal(0, 1)},
    split={"y": Pencil(), "x": Pencil()},
    where="y >= 1 and x >= 1",
)
def fft2(signal: Complex128[np.ndarray, "y x"]) -> Complex128[np.ndarray, "y x"]:
    """Transform a field into its two-dimensional discrete Fourier coefficients.

    In the usual sign and without a factor::

        out[p, q] = sum over j, k of signal[j, k] * exp(-2 pi i * (p * j / y + q * k / x))

    Args:
        signal: samples on a regular grid, any unit.

    Returns:
        The coefficients, lowest frequencies first, complex128.

    References:
        J. W. Cooley and J. W. Tukey, "An Algorithm for the Machine Calculation of Complex Fourier
        Series", Mathematics of Computation 19 (1965), 297-301.
    """
    return np.fft.fft2(signal)


@outpace.optimize(
    workloads={
        "small": {"n": 100_000},
        "large": {"n": 4_000_000},
    },
    inputs={"x": Uniform(-1, 1), "y": Uniform(-1, 1)},
    split={"n": Block()},
    reduce={"out": Reduced()},
)
def dot(x: Float64[np.ndarray, "n"], y: Float64[np.ndarray, "n"]) -> float:
    """Take the inner product of two vectors.

    The sum of the products of their elements::

        out = sum over i of x[i] * y[i]

    Args:
        x: any vector.
        y: another one.

    Returns:
        The inner product.

    References:
        T. Ogita, S. M. Rump and S. Oishi, "Accurate Sum and Dot Product", SIAM Journal on
        Scientific Computing 26 (2005), 1955-1988.
    """
    return float(np.sum(x * y))
