"""In the processes of ranks: the arguments of a call, and what is said of an error."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from outpace.kernels.languages.base import Kernel
from outpace.kernels.languages.mpi import takes_sizes
from outpace.tuner import arena

_PLAIN = ("bool", "int64", "float64", "complex128")
"""Scalars that Python has a type for."""


def arguments(items: Sequence[Sequence[Any]], memory: arena.Mapping) -> list[Any]:
    """The arguments after the communicator, from what `Deal.items` says."""
    found: list[Any] = []
    for offset, shape, dtype, is_scalar in items:
        value = memory.at([offset, shape, dtype])
        if is_scalar:
            found.append(value.item() if dtype in _PLAIN else value[()])
        else:
            found.append(value)
    return found


def keywords(run: Kernel, sizes: Mapping[str, int]) -> dict[str, Any]:
    """The keyword arguments that a draft takes."""
    return {"sizes": dict(sizes)} if takes_sizes(run) else {}


def described(error: BaseException) -> dict[str, Any]:
    """An error as `outpace.tuner.failures.classify` takes it."""
    text = "".join(traceback.format_exception(error, limit=-6))
    steps = traceback.extract_tb(error.__traceback__)
    lines = [step.lineno for step in steps if Path(step.filename).name == "draft.py"]
    return {
        "kind": type(error).__name__,
        "errno": getattr(error, "errno", None),
        "text": str(error)[:8000],
        "where": text[-8000:],
        "line": lines[-1] if lines else None,
    }
