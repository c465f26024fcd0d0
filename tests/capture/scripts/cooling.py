# Cooling of a plate with a hole: explicit heat equation, written as one goes along.
import numpy as np
from numpy import pi

nx, ny = 60, 40
dx = 0.01
alpha = 1.2e-4
dt = 0.2 * dx**2 / alpha
T = 20.0 + 80.0 * np.random.default_rng(1).random((ny, nx))
Tn = np.zeros_like(T)
X, Y = np.meshgrid(np.linspace(0, pi, nx), np.linspace(0, pi, ny))
conductivity = 1.0 + 0.5 * np.sin(X) * np.sin(Y)
history = []


def update():
    """One explicit step; the new field becomes the old one."""
    global T, Tn
    Tn[1:-1, 1:-1] = T[1:-1, 1:-1] + dt * alpha * conductivity[1:-1, 1:-1] / dx**2 * (
        T[:-2, 1:-1] + T[2:, 1:-1] + T[1:-1, :-2] + T[1:-1, 2:] - 4.0 * T[1:-1, 1:-1]
    )
    Tn[0, :] = Tn[1, :]
    Tn[-1, :] = Tn[-2, :]
    Tn[:, 0] = Tn[:, 1]
    Tn[:, -1] = Tn[:, -2]
    T, Tn = Tn, T


def monitor():
    for quantile in np.linspace(0.0, 1.0, 11):
        history.append(np.quantile(T, quantile))


for i in range(100):
    update()
    if i % 10 == 0:
        monitor()
print("mean temperature", round(float(T.mean()), 6))
