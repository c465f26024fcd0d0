"""Direct convolution; output channels innermost, images in parallel."""

import numpy as np


def conv2d_bias(image, weights, bias):
    size = weights.shape[0]
    batch, height, width, channels = image.shape
    filters = weights.shape[3]
    rows, columns = height - size + 1, width - size + 1
    out = np.empty((batch, rows, columns, filters), dtype=np.float32)
    # omp parallel for
    for n in range(batch):
        for i in range(rows):
            for j in range(columns):
                for f in range(filters):
                    out[n, i, j, f] = bias[f]
                for r in range(size):
                    for s in range(size):
                        for c in range(channels):
                            value = image[n, i + r, j + s, c]
                            for f in range(filters):
                                out[n, i, j, f] += value * weights[r, s, c, f]
    return out
