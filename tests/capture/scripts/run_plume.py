"""Runs a plume for a number of steps."""

import argparse

import numpy as np
from plume.operators import advect, deposit, smoothed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    rng = np.random.default_rng(3)
    lost = 0.0
    for shape in ((32, 40), (40, 50)):
        q = rng.random(shape)
        mask = (rng.random(shape) > 0.5).astype(float)
        wind = 0.2 + 0.6 * rng.random((2, *shape))
        for _ in range(options.steps):
            q = advect(q, wind, 0.7)
            lost += deposit(q, mask, 1e-3)
            view = smoothed(smoothed(smoothed(q)))
    print(f"deposited {lost:.6f}, peak {view.max():.6f}")


if __name__ == "__main__":
    main()
