"""References that are cut over ranks in every way, against an independent formulation or a law."""

import math

import numpy as np
import pytest

from outpace.kernels.library import climate, linalg


@pytest.fixture
def rng():
    return np.random.default_rng(20240301)


# climate.advect_1d and climate.diffuse_3d


@pytest.mark.parametrize("n", [1, 2, 3, 8, 13])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_advect_1d_is_the_scheme_cell_by_cell(rng, n, steps):
    q, c = rng.uniform(-1, 1, n), 0.4
    expected = q.tolist()
    for _ in range(steps):
        expected = [
            here - c / 2 * (after - before) + c**2 / 2 * (after - 2 * here + before)
            for before, here, after in zip(
                expected[-1:] + expected[:-1], expected, expected[1:] + expected[:1], strict=True
            )
        ]
    np.testing.assert_allclose(climate.advect_1d(q, c, steps), expected, atol=1e-14)


def test_advect_1d_conserves_and_shifts_by_whole_cells(rng):
    q = rng.uniform(-1, 1, 17)
    np.testing.assert_allclose(climate.advect_1d(q, 1.0, 5), np.roll(q, 5), atol=1e-14)
    assert climate.advect_1d(q, 0.3, 40).sum() == pytest.approx(q.sum(), abs=1e-12)


def test_diffuse_3d_conserves_and_damps_a_wave_at_its_own_rate():
    nz, ny, nx = 4, 6, 5
    z, y, x = np.indices((nz, ny, nx))
    wave = np.cos(2 * np.pi * (z / nz + 2 * y / ny + x / nx))
    rate = sum(2 - 2 * math.cos(2 * math.pi * k / n) for k, n in ((1, nz), (2, ny), (1, nx)))
    out = climate.diffuse_3d(3 + wave, 0.1, 6)
    np.testing.assert_allclose(out, 3 + (1 - 0.1 * rate) ** 6 * wave, atol=1e-13)
    assert out.sum() == pytest.approx(3 * wave.size)


def test_diffuse_3d_takes_its_neighbours_across_the_ends(rng):
    c = rng.uniform(0, 1, (3, 1, 4))
    out = climate.diffuse_3d(c, 0.1, 1)
    around = sum(np.roll(c, way, axis) for way in (1, -1) for axis in range(3))
    np.testing.assert_allclose(out, c + 0.1 * (around - 6 * c), atol=1e-15)


# linalg.matmul, transpose, fft2 and dot


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (3, 5, 2), (7, 1, 4), (2, 0, 3), (0, 2, 2)])
def test_matmul_is_the_sum_of_products(rng, m, k, n):
    a, b = rng.uniform(-1, 1, (m, k)), rng.uniform(-1, 1, (k, n))
    expected = [[math.fsum(a[i] * b[:, j]) for j in range(n)] for i in range(m)]
    np.testing.assert_allclose(
        linalg.matmul(a, b), np.reshape(expected, (m, n)), rtol=1e-13, atol=1e-14
    )


def test_transpose_exchanges_the_axes_in_memory(rng):
    a = rng.uniform(-1, 1, (3, 5))
    out = linalg.transpose(a)
    assert out.flags.c_contiguous
    assert not np.shares_memory(out, a)
    assert all(out[j, i] == a[i, j] for i, j in np.ndindex(a.shape))


@pytest.mark.parametrize(("y", "x"), [(1, 1), (2, 3), (5, 4), (1, 7)])
def test_fft2_is_the_double_sum(rng, y, x):
    signal = rng.normal(size=(y, x)) + 1j * rng.normal(size=(y, x))
    rows = np.exp(-2j * np.pi * np.outer(np.arange(y), np.arange(y)) / y)
    cols = np.exp(-2j * np.pi * np.outer(np.arange(x), np.arange(x)) / x)
    np.testing.assert_allclose(linalg.fft2(signal), rows @ signal @ cols, atol=1e-12)


def test_dot_is_the_exact_sum_rounded(rng):
    x, y = rng.uniform(-1, 1, (2, 1000))
    assert linalg.dot(x, y) == pytest.approx(math.fsum(x * y), abs=1e-13)
    assert linalg.dot(x[:0], y[:0]) == 0.0
