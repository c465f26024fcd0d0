"""State-vector simulation of quantum circuits."""

from typing import Any

import numpy as np
from jaxtyping import Complex128

import outpace


def _state_and_gate(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    """Draw a normalised state and a random unitary gate."""
    n = sizes["n"]
    state = rng.normal(size=n) + 1j * rng.normal(size=n)
    state /= np.sqrt(np.sum(np.abs(state) ** 2))
    angle, alpha, beta, phase = rng.uniform(0.0, 2.0 * np.pi, 4)
    cosine = np.exp(1j * alpha) * np.cos(angle)
    sine = np.exp(1j * beta) * np.sin(angle)
    gate = np.exp(1j * phase) * np.array([[cosine, -sine.conj()], [sine, cosine.conj()]])
    return {"state": state, "gate": gate}


@outpace.optimize(
    workloads={
        "small": {"n": 2**18, "target": 3},
        "large": {"n": 2**22, "target": 12},
    },
    inputs=_state_and_gate,
    where="n == 2**q and target < q",
    reduction="2",
)
def apply_gate(
    state: Complex128[np.ndarray, "n"],
    gate: Complex128[np.ndarray, "2 2"],
    target: int,
) -> Complex128[np.ndarray, "n"]:
    """Apply a one-qubit gate to the state of a register of q qubits.

    Let bit `target` of an index, counted from the least significant one, be the state of the
    target qubit, and let i and j be two indices that differ in this bit alone, 0 in i::

        out[i] = gate[0, 0] * state[i] + gate[0, 1] * state[j]
        out[j] = gate[1, 0] * state[i] + gate[1, 1] * state[j]

    Args:
        state: the n = 2**q amplitudes, dimensionless. It is not changed.
        gate: the 2 by 2 matrix, unitary in physics though any matrix will do.
        target: the qubit to act on, 0 <= target < q.

    Returns:
        The new amplitudes, complex128, a new array.

    References:
        M. A. Nielsen and I. L. Chuang, "Quantum Computation and Quantum Information", Cambridge
        University Press 2000, section 4.2.
        K. De Raedt et al., "Massively Parallel Quantum Computer Simulator", Computer Physics
        Communications 176 (2007), 121-136.
    """
    pairs = state.reshape(-1, 2, 1 << target)
    out = np.empty_like(pairs)
    out[:, 0, :] = gate[0, 0] * pairs[:, 0, :] + gate[0, 1] * pairs[:, 1, :]
    out[:, 1, :] = gate[1, 0] * pairs[:, 0, :] + gate[1, 1] * pairs[:, 1, :]
    return out.reshape(state.shape)
