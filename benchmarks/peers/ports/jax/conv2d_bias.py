"""The convolution that JAX has."""

from jax import lax


def conv2d_bias(image, weights, bias):
    layout = ("NHWC", "HWIO", "NHWC")
    summed = lax.conv_general_dilated(image, weights, (1, 1), "VALID", dimension_numbers=layout)
    return summed + bias
