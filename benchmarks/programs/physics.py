"""Many bodies, quantum transport, and integrals in the complex plane."""

from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64, Int32

import outpace
from outpace import Uniform


def _galaxy(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    n = sizes["n"]
    return {
        "mass": np.full((n, 1), 20.0 / max(n, 1)),
        "pos": rng.normal(size=(n, 3)),
        "vel": rng.normal(size=(n, 3)),
        "dt": 0.01,
        "G": 1.0,
        "softening": 0.1,
    }


def _accelerations(
    pos: Float64[np.ndarray, "n 3"], mass: Float64[np.ndarray, "n 1"], G: float, softening: float
) -> Float64[np.ndarray, "n 3"]:
    x, y, z = pos[:, 0:1], pos[:, 1:2], pos[:, 2:3]
    dx, dy, dz = x.T - x, y.T - y, z.T - z
    inv_r3 = dx**2 + dy**2 + dz**2 + softening**2
    close = inv_r3 > 0
    inv_r3[close] = inv_r3[close] ** (-1.5)
    ax = G * (dx * inv_r3) @ mass
    ay = G * (dy * inv_r3) @ mass
    az = G * (dz * inv_r3) @ mass
    return np.hstack((ax, ay, az))


def _energies(
    pos: Float64[np.ndarray, "n 3"],
    vel: Float64[np.ndarray, "n 3"],
    mass: Float64[np.ndarray, "n 1"],
    G: float,
) -> tuple[float, float]:
    kinetic = 0.5 * np.sum(mass * vel**2)
    x, y, z = pos[:, 0:1], pos[:, 1:2], pos[:, 2:3]
    dx, dy, dz = x.T - x, y.T - y, z.T - z
    inv_r = np.sqrt(dx**2 + dy**2 + dz**2)
    apart = inv_r > 0
    inv_r[apart] = 1.0 / inv_r[apart]
    potential = G * np.sum(np.triu(-(mass * mass.T) * inv_r, 1))
    return kinetic, potential


@outpace.optimize(
    workloads={"small": {"n": 25, "steps": 20}, "large": {"n": 150, "steps": 40}},
    inputs=_galaxy,
    mutates=("pos", "vel"),
    where="n >= 2",
)
def nbody_energies(
    mass: Float64[np.ndarray, "n 1"],
    pos: Float64[np.ndarray, "n 3"],
    vel: Float64[np.ndarray, "n 3"],
    steps: int,
    dt: float,
    G: float,
    softening: float,
) -> tuple[Float64[np.ndarray, "steps+1"], Float64[np.ndarray, "steps+1"]]:
    """Leapfrog in the frame of the centre of mass; kinetic and potential energy of each step."""
    vel -= np.mean(mass * vel, axis=0) / np.mean(mass)
    acc = _accelerations(pos, mass, G, softening)
    kinetic = np.ndarray(steps + 1, dtype=np.float64)
    potential = np.ndarray(steps + 1, dtype=np.float64)
    kinetic[0], potential[0] = _energies(pos, vel, mass, G)
    for i in range(steps):
        vel += acc * dt / 2.0
        pos += vel * dt
        acc[:] = _accelerations(pos, mass, G, softening)
        vel += acc * dt / 2.0
        kinetic[i + 1], potential[i + 1] = _energies(pos, vel, mass, G)
    return kinetic, potential


def _device(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    s = sizes

    def drawn(*shape: int) -> Any:
        return rng.uniform(-1, 1, shape) + 1j * rng.uniform(-1, 1, shape)

    return {
        "neighbours": rng.integers(0, max(s["NA"], 1), (s["NA"], s["NB"]), dtype=np.int32),
        "dH": drawn(s["NA"], s["NB"], s["N3D"], s["Norb"], s["Norb"]),
        "G": drawn(s["Nkz"], s["NE"], s["NA"], s["Norb"], s["Norb"]),
        "D": drawn(s["Nqz"], s["Nw"], s["NA"], s["NB"], s["N3D"], s["N3D"]),
    }


@outpace.optimize(
    workloads={
        "small": {
            "Nkz": 2, "NE": 3, "Nqz": 2, "Nw": 2, "N3D": 2, "NA": 3, "NB": 2, "Norb": 3,
        },
        "large": {
            "Nkz": 2, "NE": 5, "Nqz": 2, "Nw": 2, "N3D": 2, "NA": 8, "NB": 3, "Norb": 4,
        },
    },
    inputs=_device,
    where="Nqz <= Nkz",
    reduction="Nqz * Nw * N3D * N3D * NB * Norb * Norb",
)  # fmt: skip
def scattering_self_energies(
    neighbours: Int32[np.ndarray, "NA NB"],
    dH: Complex128[np.ndarray, "NA NB N3D Norb Norb"],
    G: Complex128[np.ndarray, "Nkz NE NA Norb Norb"],
    D: Complex128[np.ndarray, "Nqz Nw NA NB N3D N3D"],
) -> Complex128[np.ndarray, "Nkz NE NA Norb Norb"]:
    """Self-energies of electrons that scatter at phonons, in the Born approximation."""
    Sigma = np.zeros_like(G)
    for k in range(G.shape[0]):
        for E in range(G.shape[1]):
            for q in range(D.shape[0]):
                for w in range(D.shape[1]):
                    for i in range(D.shape[4]):
                        for j in range(D.shape[5]):
                            for a in range(neighbours.shape[0]):
                                for b in range(neighbours.shape[1]):
                                    if E - w >= 0:
                                        dHG = G[k - q, E - w, neighbours[a, b]] @ dH[a, b, i]
                                        dHD = dH[a, b, j] * D[q, w, a, b, i, j]
                                        Sigma[k, E, a] += dHG @ dHD
    return Sigma


@outpace.optimize(
    workloads={
        "small": {"NR": 20, "NM": 40, "slab": 2, "points": 8},
        "large": {"NR": 80, "NM": 160, "slab": 2, "points": 16},
    },
    inputs={n: Uniform(-1, 1) for n in ("Ham", "z", "Y")},
    where="slab >= 1 and NR >= 1 and points >= 1",
)
def contour_integral(
    Ham: Complex128[np.ndarray, "slab+1 NR NR"],
    z: Complex128[np.ndarray, "points"],
    Y: Complex128[np.ndarray, "NR NM"],
) -> tuple[Complex128[np.ndarray, "NR NM"], Complex128[np.ndarray, "NR NM"]]:
    """Moments of a resolvent on a contour: one linear system per point."""
    P0 = np.zeros(Y.shape, dtype=np.complex128)
    P1 = np.zeros(Y.shape, dtype=np.complex128)
    for p in range(z.shape[0]):
        T = np.zeros((Ham.shape[1], Ham.shape[1]), dtype=np.complex128)
        for n in range(Ham.shape[0]):
            T += np.power(z[p], (Ham.shape[0] - 1) / 2 - n) * Ham[n]
        X = np.linalg.solve(T, Y)
        if abs(z[p]) < 1.0:
            X = -X
        P0 += X
        P1 += z[p] * X
    return P0, P1
