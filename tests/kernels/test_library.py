"""Every reference of the library against an independent formulation or a law it has to obey."""

import itertools
import math

import numpy as np
import pytest

from outpace.kernels.library import aerospace, astro, climate, genomics, linalg, medical, quantum


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


# climate.hdiff


def hdiff_scalar(field, coeff):
    """Cell by cell; the flux through a face is computed from the stencil, once for each side."""

    def laplacian(i, j, k):
        neighbours = (
            field[i + 1, j, k] + field[i - 1, j, k] + field[i, j + 1, k] + field[i, j - 1, k]
        )
        return neighbours - 4 * field[i, j, k]

    def flux(low, high):
        value = laplacian(*high) - laplacian(*low)
        return 0.0 if value * (field[high] - field[low]) > 0 else value

    out = np.empty(coeff.shape)
    for i, j, k in np.ndindex(coeff.shape):
        y, x = i + 2, j + 2
        here = (y, x, k)
        divergence = flux(here, (y + 1, x, k)) - flux((y - 1, x, k), here)
        divergence += flux(here, (y, x + 1, k)) - flux((y, x - 1, k), here)
        out[i, j, k] = field[here] - coeff[i, j, k] * divergence
    return out


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 2), (3, 1, 7), (5, 7, 3), (0, 6, 1)])
def test_hdiff_is_the_flux_form_cell_by_cell(rng, shape):
    field = rng.uniform(-1, 1, (shape[0] + 4, shape[1] + 4, shape[2]))
    coeff = rng.uniform(0, 0.05, shape)
    np.testing.assert_allclose(climate.hdiff(field, coeff), hdiff_scalar(field, coeff), atol=1e-14)


def test_hdiff_keeps_constant_and_linear_fields(rng):
    coeff = rng.uniform(0, 0.05, (5, 7, 3))
    i, j, k = np.meshgrid(np.arange(9.0), np.arange(11.0), np.arange(3.0), indexing="ij")
    for field in (np.full_like(i, 3.5), 2 * i - 3 * j + 5 * k):
        np.testing.assert_allclose(climate.hdiff(field, coeff), field[2:-2, 2:-2], atol=1e-12)


def test_hdiff_conserves_the_total_of_a_periodic_field(rng):
    inner = rng.uniform(-1, 1, (7, 9, 2))
    field = np.pad(inner, ((2, 2), (2, 2), (0, 0)), mode="wrap")
    out = climate.hdiff(field, np.full_like(inner, 0.03))
    assert not np.allclose(out, inner)
    assert out.sum() == pytest.approx(inner.sum(), abs=1e-12)


def test_hdiff_flattens_a_spike_and_damps_the_shortest_wave():
    spike = np.zeros((9, 9, 1))
    spike[4, 4, 0] = 1.0
    out = climate.hdiff(spike, np.full((5, 5, 1), 0.01))
    assert out[2, 2, 0] == pytest.approx(1 - 20 * 0.01)
    i, j = np.indices((10, 10))
    wave = ((-1.0) ** (i + j))[:, :, None]  # its fourth-order damping rate is 64
    out = climate.hdiff(wave, np.full((6, 6, 1), 1 / 128))
    np.testing.assert_allclose(out, wave[2:-2, 2:-2] / 2, atol=1e-14)


# climate.heat_3d


def heat_scalar(temperature, r, steps):
    old = temperature.tolist()
    nz, ny, nx = temperature.shape
    for _ in range(steps):
        new = [[row[:] for row in plane] for plane in old]
        for z, y, x in itertools.product(range(1, nz - 1), range(1, ny - 1), range(1, nx - 1)):
            around = old[z - 1][y][x] + old[z + 1][y][x] + old[z][y - 1][x] + old[z][y + 1][x]
            around += old[z][y][x - 1] + old[z][y][x + 1]
            new[z][y][x] = old[z][y][x] + r * (around - 6 * old[z][y][x])
        old = new
    return np.array(old).reshape(temperature.shape)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 5), (3, 3, 3), (5, 4, 7), (0, 3, 3)])
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_heat_3d_is_the_explicit_scheme_point_by_point(rng, shape, steps):
    temperature = rng.uniform(250, 310, shape)
    before = temperature.copy()
    out = climate.heat_3d(temperature, 0.12, steps)
    np.testing.assert_allclose(out, heat_scalar(temperature, 0.12, steps), rtol=1e-13)
    np.testing.assert_array_equal(temperature, before)
    assert not np.shares_memory(out, temperature)


def test_heat_3d_obeys_the_maximum_principle_up_to_its_limit(rng):
    temperature = rng.uniform(250, 310, (9, 8, 7))
    low, high = temperature.min(), temperature.max()
    for steps in range(10):
        out = climate.heat_3d(temperature, 1 / 6, steps)
        assert low - 1e-9 <= out.min() <= out.max() <= high + 1e-9


def test_heat_3d_decays_an_eigenmode_at_its_own_rate():
    nz, ny, nx = 6, 9, 12
    z, y, x = np.indices((nz, ny, nx))
    mode = np.sin(np.pi * z / (nz - 1)) * np.sin(2 * np.pi * y / (ny - 1))
    mode = mode * np.sin(3 * np.pi * x / (nx - 1))
    rate = sum(2 - 2 * math.cos(a * math.pi / (n - 1)) for a, n in ((1, nz), (2, ny), (3, nx)))
    out = climate.heat_3d(mode, 0.1, 7)
    np.testing.assert_allclose(out, (1 - 0.1 * rate) ** 7 * mode, atol=1e-13)


# genomics.smith_waterman


def general_gap_scores(a, b, scores, gap_open, gap_extend):
    """The recurrence of 1981, which tries every gap length and knows no E and F."""
    H = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]

    def cost(length):
        return gap_open + (length - 1) * gap_extend

    for i, j in itertools.product(range(1, len(a) + 1), range(1, len(b) + 1)):
        choices = [0, H[i - 1][j - 1] + int(scores[a[i - 1], b[j - 1]])]
        choices += [H[i - k][j] - cost(k) for k in range(1, i + 1)]
        choices += [H[i][j - k] - cost(k) for k in range(1, j + 1)]
        H[i][j] = max(choices)
    return np.array(H)


def nucleotides(text):
    return np.array(["ACGT".index(letter) for letter in text], dtype=np.int8)


def match_scores(match, mismatch):
    return np.where(np.eye(4, dtype=bool), match, mismatch).astype(np.int32)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0), (1, 1), (1, 7), (17, 13), (30, 31)])
@pytest.mark.parametrize(("gap_open", "gap_extend"), [(3, 1), (2, 2), (1, 3), (0, 0), (11, 1)])
def test_smith_waterman_agrees_with_every_gap_length_tried(rng, n, m, gap_open, gap_extend):
    a, b = (rng.integers(0, 3, size, dtype=np.int8) for size in (n, m))
    scores = rng.integers(-4, 6, (3, 3), dtype=np.int32)
    H = genomics.smith_waterman(a, b, scores, gap_open, gap_extend)
    assert H.dtype == np.int32
    np.testing.assert_array_equal(H, general_gap_scores(a, b, scores, gap_open, gap_extend))


def test_smith_waterman_known_alignments():
    # GTT-AC over GTTGAC: five matches of 3 less one gap of 2.
    a, b = nucleotides("TGTTACGG"), nucleotides("GGTTGACTA")
    assert genomics.smith_waterman(a, b, match_scores(3, -3), 2, 2).max() == 13
    # Ten matches of 5 less one gap of three letters: an opening and two extensions.
    a, b = nucleotides("AAAAACCCCC"), nucleotides("AAAAAGGGCCCCC")
    assert genomics.smith_waterman(a, b, match_scores(5, -9), 6, 1).max() == 10 * 5 - (6 + 1 + 1)


def test_smith_waterman_of_equal_sequences_and_of_swapped_ones(rng):
    a, b = (rng.integers(0, 4, size, dtype=np.int8) for size in (25, 19))
    scores = match_scores(2, -1)
    assert genomics.smith_waterman(a, a, scores, 3, 1)[-1, -1] == 2 * 25
    forward = genomics.smith_waterman(a, b, scores, 3, 1)
    np.testing.assert_array_equal(genomics.smith_waterman(b, a, scores, 3, 1), forward.T)


# aerospace.cavity_flow

STEADY = {"dt": 0.001, "h": 0.02, "rho": 1.3, "nu": 0.02}


def around(f, j, i):
    return f[j, i + 1] + f[j, i - 1] + f[j + 1, i] + f[j - 1, i]


def with_flat_edges(p):
    """The inside of p with each side copied from the line beside it."""
    for side, beside in ((0, 1), (-1, -2)):
        p[:, side] = p[:, beside]
    for side, beside in ((0, 1), (-1, -2)):
        p[side] = p[beside]
    return p


def cavity_scalar(state, steps, sweeps, lid, *, dt, h, rho, nu):
    """One point at a time, old and new states apart; returns the new state."""
    u, v, p = state
    inside = list(itertools.product(*(range(1, n - 1) for n in u.shape)))

    def dx(f, j, i):
        return (f[j, i + 1] - f[j, i - 1]) / (2 * h)

    def dy(f, j, i):
        return (f[j + 1, i] - f[j - 1, i]) / (2 * h)

    def source(j, i):
        strain = dx(u, j, i) ** 2 + 2 * dy(u, j, i) * dx(v, j, i) + dy(v, j, i) ** 2
        return rho * ((dx(u, j, i) + dy(v, j, i)) / dt - strain)

    def moved(f, gradient, j, i):
        viscous = nu * (around(f, j, i) - 4 * f[j, i]) / h**2
        carried = u[j, i] * dx(f, j, i) + v[j, i] * dy(f, j, i)
        return f[j, i] + dt * (viscous - carried - gradient(p, j, i) / rho)

    for _ in range(steps):
        for _ in range(sweeps):
            new = p.copy()
            for at in inside:
                new[at] = (around(p, *at) - h**2 * source(*at)) / 4
            p = with_flat_edges(new)
        un, vn = np.zeros_like(u), np.zeros_like(v)
        un[-1] = lid
        for at in inside:
            un[at], vn[at] = moved(u, dx, *at), moved(v, dy, *at)
        u, v = un, vn
    return u, v, p


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (3, 3), (5, 7), (8, 5)])
@pytest.mark.parametrize(("steps", "sweeps"), [(0, 3), (1, 0), (1, 3), (3, 2)])
def test_cavity_flow_is_the_scheme_point_by_point(rng, shape, steps, sweeps):
    u, v, p = rng.uniform(-0.1, 0.1, (3, *shape))
    expected = cavity_scalar((u, v, p), steps, sweeps, 0.8, **STEADY)
    assert aerospace.cavity_flow(u, v, p, steps, sweeps, 0.8, **STEADY) is None
    for found, wanted in zip((u, v, p), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_cavity_flow_mirrors_when_the_lid_turns_back(rng):
    u, v, p = rng.uniform(-0.1, 0.1, (3, 9, 8))
    mu, mv, mp = -u[:, ::-1].copy(), v[:, ::-1].copy(), p[:, ::-1].copy()
    aerospace.cavity_flow(u, v, p, 6, 5, 1.0, **STEADY)
    aerospace.cavity_flow(mu, mv, mp, 6, 5, -1.0, **STEADY)
    np.testing.assert_allclose(mu[1:, ::-1], -u[1:], atol=1e-12)
    np.testing.assert_allclose(mv[:, ::-1], v, atol=1e-12)
    np.testing.assert_allclose(mp[:, ::-1], p, atol=1e-12)


def lid_return_and_leak(n):
    """Fastest return flow on the vertical centre line, its height, and the net flux across it."""
    h = 1 / (n - 1)
    u, v, p = np.zeros((3, n, n))
    aerospace.cavity_flow(u, v, p, 2000, 20, 1.0, dt=0.005, h=h, rho=1.0, nu=0.01)
    middle = u[:, n // 2]
    return middle.min(), middle.argmin() * h, abs(h * (middle[1:] + middle[:-1]).sum() / 2)


def test_cavity_flow_converges_to_the_benchmark_at_reynolds_number_100():
    # Ghia, Ghia and Shin (1982): -0.21090 at y = 0.4531.
    coarse, _, coarse_leak = lid_return_and_leak(17)
    fine, height, fine_leak = lid_return_and_leak(33)
    assert abs(fine + 0.2109) < 0.5 * abs(coarse + 0.2109) < 0.04
    assert height == pytest.approx(0.4531, abs=1 / 32)
    assert fine_leak < 0.5 * coarse_leak < 0.02


# aerospace.jacobi_2d


def jacobi_scalar(u, steps):
    old = u.copy()
    for _ in range(steps):
        new = old.copy()
        for i, j in itertools.product(range(1, u.shape[0] - 1), range(1, u.shape[1] - 1)):
            new[i, j] = (old[i - 1, j] + old[i + 1, j] + old[i, j - 1] + old[i, j + 1]) / 4
        old = new
    return old


@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (1, 6), (2, 2), (3, 3), (5, 8), (17, 7)])
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_jacobi_2d_is_the_sweep_point_by_point(rng, shape, steps):
    u = rng.uniform(-1, 1, shape)
    before = u.copy()
    out = aerospace.jacobi_2d(u, steps)
    np.testing.assert_allclose(out, jacobi_scalar(u, steps), atol=1e-15)
    np.testing.assert_array_equal(u, before)
    assert not np.shares_memory(out, u)


def test_jacobi_2d_keeps_harmonic_polynomials_and_converges_to_them(rng):
    y, x = np.indices((9, 11), dtype=float)
    harmonic = x * x - y * y + 3 * x * y - 2 * y + 1
    np.testing.assert_allclose(aerospace.jacobi_2d(harmonic, 6), harmonic, atol=1e-12)
    start = harmonic.copy()
    start[1:-1, 1:-1] = rng.uniform(-1, 1, (7, 9))
    np.testing.assert_allclose(aerospace.jacobi_2d(start, 1000), harmonic, atol=1e-9)


# medical.backproject


def backproject_scalar(sinogram, theta, size):
    views, detectors = sinogram.shape
    image = np.zeros((size, size))
    for row, column in np.ndindex(size, size):
        x, y = column - (size - 1) / 2, row - (size - 1) / 2
        for k in range(views):
            at = x * math.cos(theta[k]) + y * math.sin(theta[k])
            for d in range(detectors):  # a hat function around each detector
                distance = abs(at - (d - (detectors - 1) / 2))
                image[row, column] += max(0.0, 1 - distance) * sinogram[k, d]
    return image * math.pi / max(views, 1)


@pytest.mark.parametrize(
    ("views", "detectors", "size"),
    [(1, 1, 1), (1, 5, 3), (3, 1, 4), (5, 7, 9), (4, 12, 5), (0, 3, 2), (3, 0, 2), (3, 2, 0)],
)
def test_backproject_is_a_sum_of_hat_functions(rng, views, detectors, size):
    sinogram = rng.uniform(0, 1, (views, detectors))
    theta = rng.uniform(-4, 4, views)
    found = medical.backproject(sinogram, theta, size)
    np.testing.assert_allclose(found, backproject_scalar(sinogram, theta, size), atol=1e-12)


def test_backproject_of_ones_is_pi_and_of_one_view_its_smear(rng):
    theta = np.arange(8) * np.pi / 8
    np.testing.assert_allclose(medical.backproject(np.ones((8, 25)), theta, 15), np.pi, rtol=1e-14)
    sinogram = rng.uniform(0, 1, (1, 9))
    image = medical.backproject(sinogram, np.array([0.0]), 9)
    np.testing.assert_allclose(image, np.tile(np.pi * sinogram, (9, 1)), rtol=1e-13)


@pytest.mark.parametrize(("row", "column"), [(10, 10), (4, 13), (17, 8)])
def test_backproject_of_a_point_peaks_at_the_point(row, column):
    size, views, detectors = 21, 24, 31
    theta = (np.arange(views) + 0.5) * np.pi / views
    at = (column - 10) * np.cos(theta) + (row - 10) * np.sin(theta) + 15
    left = np.floor(at).astype(int)
    sinogram = np.zeros((views, detectors))
    sinogram[np.arange(views), left] = 1 - (at - left)
    sinogram[np.arange(views), left + 1] += at - left
    image = medical.backproject(sinogram, theta, size)
    assert np.unravel_index(image.argmax(), image.shape) == (row, column)


# quantum.apply_gate

HADAMARD = np.array([[1, 1], [1, -1]], dtype=np.complex128) / math.sqrt(2)
FLIP = np.array([[0, 1], [1, 0]], dtype=np.complex128)


def complex_normal(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


CASES = [(q, t) for q in (1, 2, 3, 5) for t in range(q)]


@pytest.mark.parametrize(("qubits", "target"), CASES)
def test_apply_gate_is_a_kronecker_product(rng, qubits, target):
    state, gate = complex_normal(rng, 2**qubits), complex_normal(rng, 2, 2)
    whole = np.kron(np.kron(np.eye(2 ** (qubits - 1 - target)), gate), np.eye(2**target))
    before = state.copy()
    np.testing.assert_allclose(quantum.apply_gate(state, gate, target), whole @ state, atol=1e-14)
    np.testing.assert_array_equal(state, before)


@pytest.mark.parametrize(("qubits", "target"), CASES)
def test_apply_gate_keeps_the_norm_and_undoes_itself(rng, qubits, target):
    state = complex_normal(rng, 2**qubits)
    once = quantum.apply_gate(state, HADAMARD, target)
    assert np.linalg.norm(once) == pytest.approx(np.linalg.norm(state), rel=1e-14)
    np.testing.assert_allclose(quantum.apply_gate(once, HADAMARD, target), state, atol=1e-14)


def test_apply_gate_flips_the_bit_of_a_basis_state():
    state = np.zeros(16, dtype=np.complex128)
    state[0b0101] = 1
    for target, reached in ((0, 0b0100), (1, 0b0111), (2, 0b0001), (3, 0b1101)):
        assert quantum.apply_gate(state, FLIP, target).nonzero()[0].tolist() == [reached]


# astro.nbody


def nbody_scalar(position, velocity, mass, steps, *, dt, softening):
    n = len(mass)
    x, v = position.tolist(), velocity.tolist()

    def kick():
        for i, j in itertools.product(range(n), range(n)):
            offset = [b - a for a, b in zip(x[i], x[j], strict=True)]
            cubed = (sum(d * d for d in offset) + softening**2) ** 1.5
            for axis in range(3):
                v[i][axis] += 0.5 * dt * mass[j] * offset[axis] / cubed

    for _ in range(steps):
        kick()
        for i, axis in itertools.product(range(n), range(3)):
            x[i][axis] += dt * v[i][axis]
        kick()
    return np.array(x).reshape(n, 3), np.array(v).reshape(n, 3)


def cluster(rng, n):
    return rng.normal(size=(n, 3)), rng.normal(0, 0.4, (n, 3)), rng.uniform(0.5, 1.5, n)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_nbody_is_leapfrog_body_by_body(rng, n, steps):
    position, velocity, mass = cluster(rng, n)
    before = position.copy(), velocity.copy()
    x, v = astro.nbody(position, velocity, mass, steps, 0.01, 0.1)
    wanted_x, wanted_v = nbody_scalar(position, velocity, mass, steps, dt=0.01, softening=0.1)
    np.testing.assert_allclose(x, wanted_x, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(v, wanted_v, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal((position, velocity), before)
    assert not np.shares_memory(x, position)
    assert not np.shares_memory(v, velocity)


def test_nbody_forces_sum_to_zero_and_so_momentum_and_spin_are_kept(rng):
    position, velocity, mass = cluster(rng, 13)
    x, v = astro.nbody(position, velocity, mass, 20, 0.01, 0.1)
    np.testing.assert_allclose(mass @ v, mass @ velocity, atol=1e-12)
    spin = mass @ np.cross(position, velocity)
    np.testing.assert_allclose(mass @ np.cross(x, v), spin, atol=1e-12)


def test_nbody_runs_backwards(rng):
    position, velocity, mass = cluster(rng, 5)
    x, v = astro.nbody(position, velocity, mass, 30, 0.01, 0.1)
    assert not np.allclose(x, position)
    x, v = astro.nbody(x, v, mass, 30, -0.01, 0.1)
    np.testing.assert_allclose(x, position, atol=1e-11)
    np.testing.assert_allclose(v, velocity, atol=1e-11)


def test_nbody_two_bodies_close_their_circle():
    # Two masses of 1/2 at distance 1 and softening 1e-6 turn once in 2 pi.
    position = np.array([[0.5, 0, 0], [-0.5, 0, 0]])
    velocity = np.array([[0, 0.5, 0], [0, -0.5, 0]])
    x, _ = astro.nbody(position, velocity, np.full(2, 0.5), 2000, 2 * math.pi / 2000, 1e-6)
    np.testing.assert_allclose(x, position, atol=1e-4)


# linalg.softmax


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 3, 5), (1, 3, 2, 17), (0, 2, 3, 4)])
def test_softmax_is_the_formula_row_by_row(rng, shape):
    logits = rng.normal(0, 3, shape).astype(np.float32)
    expected = np.empty(shape)
    for index in np.ndindex(shape[:3]):
        exponentials = [math.exp(z) for z in logits[index].tolist()]
        expected[index] = [e / math.fsum(exponentials) for e in exponentials]
    out = linalg.softmax(logits)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, rtol=2e-6)


def test_softmax_sums_to_one_ignores_a_shift_and_shares_evenly(rng):
    logits = np.round(rng.normal(0, 300, (2, 3, 5, 31))).astype(np.float32)
    out = linalg.softmax(logits)
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out.sum(axis=-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(linalg.softmax(logits + np.float32(4096)), out)
    uniform = linalg.softmax(np.full((1, 2, 3, 8), -7, dtype=np.float32))
    np.testing.assert_array_equal(uniform, np.float32(0.125))


# linalg.conv2d


@pytest.mark.parametrize(
    "sizes", [(1, 1, 1, 1, 1), (2, 3, 5, 2, 3), (1, 7, 1, 3, 1), (2, 0, 4, 1, 2), (1, 2, 3, 0, 2)]
)
def test_conv2d_is_the_sum_over_the_window(rng, sizes):
    batch, rows, cols, cin, cout = sizes
    image = rng.normal(size=(batch, rows + 2, cols + 2, cin)).astype(np.float32)
    kernel = rng.uniform(-0.5, 0.5, (3, 3, cin, cout)).astype(np.float32)
    bias = rng.uniform(-0.5, 0.5, cout).astype(np.float32)
    expected = np.empty((batch, rows, cols, cout))
    for n, y, x, o in np.ndindex(expected.shape):
        window = image[n, y : y + 3, x : x + 3].astype(np.float64)
        expected[n, y, x, o] = bias[o] + (window * kernel[..., o]).sum()
    out = linalg.conv2d(image, kernel, bias)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_conv2d_with_a_delta_shifts_the_image_and_adds_the_bias(rng):
    image = rng.normal(size=(2, 6, 7, 3)).astype(np.float32)
    bias = np.array([0, 1.5, -2], dtype=np.float32)
    for r, s in itertools.product(range(3), range(3)):
        kernel = np.zeros((3, 3, 3, 3), dtype=np.float32)
        kernel[r, s] = np.eye(3, dtype=np.float32)
        out = linalg.conv2d(image, kernel, bias)
        np.testing.assert_array_equal(out, image[:, r : r + 4, s : s + 5] + bias)
