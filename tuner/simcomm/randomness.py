"""Python's and NumPy's global random numbers, of every rank its own, as processes have them."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np


class Randomness:
    """The functions of `random` and `np.random` that draw from one global state.

    They are replaced rather than that state, which takes a hundred times longer to copy.
    """

    def __init__(self, seed: int) -> None:
        """Nothing is replaced yet.

        Args:
            seed: Of what ranks draw that seed nothing themselves.
        """
        self._seed = seed
        self._plain = _functions(random, random.Random.__name__)
        self._numpy = _functions(np.random, np.random.RandomState.__name__)
        self._ranks: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """Put the functions back at the end."""
        try:
            yield
        finally:
            vars(random).update(self._plain)
            vars(np.random).update(self._numpy)

    def switch_to(self, rank: int) -> None:
        """Let the functions be those of a rank."""
        if rank not in self._ranks:
            self._ranks[rank] = self._of(rank)
        plain, numpy = self._ranks[rank]
        vars(random).update(plain)
        vars(np.random).update(numpy)

    def _of(self, rank: int) -> tuple[dict[str, Any], dict[str, Any]]:
        plain = random.Random(f"{self._seed} {rank}")  # noqa: S311  (the program's own draws)
        numpy = np.random.RandomState([self._seed, rank])
        named = {name: getattr(numpy, name) for name in self._numpy}
        return {name: getattr(plain, name) for name in self._plain}, named


def _functions(module: Any, kind: str) -> dict[str, Any]:
    """What a module has of the methods of its global generator, and its `seed`."""
    return {
        name: value
        for name, value in vars(module).items()
        if name == "seed" or type(getattr(value, "__self__", None)).__name__ == kind
    }
