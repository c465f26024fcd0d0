"""The languages drafts are written in, one module each, all under one conformance suite."""

from __future__ import annotations

from pathlib import Path

from outpace.errors import UsageError
from outpace.kernels.languages.base import Language

LANGUAGES = ("numba", "c")


def language_named(name: str) -> Language:
    """The language of that name.

    Raises:
        UsageError: There is none; the message lists those there are.
    """
    if name == "numba":
        from outpace.kernels.languages.numba import NUMBA  # noqa: PLC0415  (imports on demand)

        return NUMBA
    if name == "c":
        from outpace.kernels.languages.c import C  # noqa: PLC0415

        return C
    if name == "mpi":  # never taken unless it is asked for: its drafts need ranks to run on
        from outpace.kernels.languages.mpi import MPI  # noqa: PLC0415

        return MPI
    if name == "cuda":
        from outpace.kernels.languages.cuda import CUDA  # noqa: PLC0415

        return CUDA
    raise UsageError(f"no language {name!r}; there are {', '.join(LANGUAGES)}")


def languages_here() -> tuple[str, ...]:
    """The languages in which drafts can be built on this machine."""
    return tuple(name for name in LANGUAGES if language_named(name).unavailable() is None)


def language_of(path: Path) -> Language:
    """The language of a draft file, by its suffix.

    Raises:
        UsageError: No language has it; the message lists those that are known.
    """
    languages = [language_named(name) for name in (*LANGUAGES, "cuda")]
    for language in languages:
        if path.suffix == language.suffix:
            return language
    known = ", ".join(f"{language.suffix} ({language.name})" for language in languages)
    raise UsageError(f"{path} does not end in {known}; name its language with --language")


__all__ = ["LANGUAGES", "Language", "language_named", "language_of", "languages_here"]
