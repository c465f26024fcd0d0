"""Linear shallow-water waves in a closed basin on a staggered grid (Arakawa C)."""

import sys

import numpy as np


class ShallowWater:
    """Steps surface height and transports forward in time."""

    def __init__(self, ny, nx, depth=100.0, dx=1000.0):
        self.g = 9.81
        self.depth = depth
        self.dx = dx
        self.dt = 0.4 * dx / np.sqrt(self.g * depth)
        self.time = 0.0
        y, x = np.mgrid[0:ny, 0:nx]
        self.h = np.exp(-((y - ny / 2) ** 2 + (x - nx / 2) ** 2) / (ny * nx / 50.0))
        self.u = np.zeros((ny, nx + 1))
        self.v = np.zeros((ny + 1, nx))

    def step(self):
        """One forward-backward step."""
        c = self.g * self.dt / self.dx
        self.u[:, 1:-1] -= c * (self.h[:, 1:] - self.h[:, :-1])
        self.v[1:-1, :] -= c * (self.h[1:, :] - self.h[:-1, :])
        divergence = self.u[:, 1:] - self.u[:, :-1] + self.v[1:, :] - self.v[:-1, :]
        self.h = self.h - self.dt * self.depth / self.dx * divergence
        self.time += self.dt

    def energy(self):
        return float(np.sum(self.h**2))

    def run(self, steps):
        for _ in range(steps):
            self.step()
        return self.energy()


def main():
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    for n in [int(size) for size in sys.argv[2:]] or (24, 32):
        model = ShallowWater(n, 2 * n)
        print(f"{n}: energy {model.run(steps):.6f} after {model.time:.1f} s")


main()
