"""Image reconstruction."""

from typing import Any

import numpy as np
from jaxtyping import Float64

import outpace


def _scan(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    """Draw a sinogram whose views are equally spaced over half a turn from a random start."""
    views = sizes["views"]
    theta = (np.arange(views) + rng.random()) * (np.pi / max(views, 1))
    return {"sinogram": rng.uniform(0.0, 1.0, (views, sizes["detectors"])), "theta": theta}


@outpace.optimize(
    workloads={
        "small": {"views": 30, "detectors": 96, "size": 64},
        "large": {"views": 180, "detectors": 360, "size": 256},
    },
    inputs=_scan,
    reduction="views",
)
def backproject(
    sinogram: Float64[np.ndarray, "views detectors"],
    theta: Float64[np.ndarray, "views"],
    size: int,
) -> Float64[np.ndarray, "size size"]:
    """Back-project a parallel-beam sinogram onto a square image.

    The adjoint of the Radon transform by the midpoint rule over half a turn::

        image(y, x) = pi / views * sum over k of s_k(x * cos(theta_k) + y * sin(theta_k))

    s_k interpolates row k of the sinogram linearly between detector centres and falls linearly to
    zero one detector beyond either end. Pixels and detectors have pitch 1, and the centres of the
    image and of the detector row lie on the axis of rotation: pixel (row, column) is at
    x = column - (size - 1) / 2, y = row - (size - 1) / 2; detector d is at
    d - (detectors - 1) / 2. Filtered back-projection applies this to ramp-filtered rows.

    Args:
        sinogram: line integrals (or filtered ones), one row per view.
        theta: angle of each view, radians.
        size: pixels along each side of the image.

    Returns:
        The image, float64, in the unit of `sinogram` (times radians).

    References:
        A. C. Kak and M. Slaney, "Principles of Computerized Tomographic Imaging", IEEE Press 1988,
        chapter 3.
        F. Natterer, "The Mathematics of Computerized Tomography", Teubner 1986, chapter 5.
    """
    views, detectors = sinogram.shape
    centred = np.arange(size, dtype=sinogram.dtype) - 0.5 * (size - 1)
    image = np.zeros((size, size), dtype=sinogram.dtype)
    row = np.zeros(detectors + 2, dtype=sinogram.dtype)
    for k in range(views):
        row[1:-1] = sinogram[k]
        position = centred[None, :] * np.cos(theta[k]) + centred[:, None] * np.sin(theta[k])
        position = np.clip(position + 0.5 * (detectors + 1), 0.0, detectors + 1.0)
        left = np.minimum(position.astype(np.int64), detectors)
        weight = position - left
        image += (1.0 - weight) * row[left] + weight * row[left + 1]
    return image * (np.pi / max(views, 1))
