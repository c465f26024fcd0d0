"""The languages drafts are written in, one module each, all under one conformance suite."""

from __future__ import annotations

from pathlib import Path

from outpace.errors import UsageError
from outpace.kernels.languages.base import Language

LANGUAGES = ("numba", "c")
OPTIONAL = ("pythran",)
"""Languages of packages that not everybody installs; a build is a module of this very Python."""
ON_A_GPU = ("cuda",)
"""Languages whose kernels run on a GPU; drafts in them can be checked without one."""


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
    if name == "pythran":
        from outpace.kernels.languages.pythran import PYTHRAN  # noqa: PLC0415

        return PYTHRAN
    if name == "mpi":  # never taken unless it is asked for: its drafts need ranks to run on
        from outpace.kernels.languages.mpi import MPI  # noqa: PLC0415

        return MPI
    if name == "cuda":
        from outpace.kernels.languages.cuda import CUDA  # noqa: PLC0415

        return CUDA
    raise UsageError(f"no language {name!r}; there are {', '.join((*LANGUAGES, *OPTIONAL))}")


def languages_here(*, optional: bool = False) -> tuple[str, ...]:
    """The languages in which drafts can be built and run on this machine.

    Args:
        optional: Those of optional packages too, in which no model is asked for drafts.
    """
    known = (*LANGUAGES, *(OPTIONAL if optional else ()), *ON_A_GPU)
    return tuple(name for name in known if language_named(name).unavailable() is None)


def language_of(path: Path) -> Language:
    """The language of a draft file, by its suffix.

    Raises:
        UsageError: No language has it; the message lists those that are known.
    """
    languages = [language_named(name) for name in (*LANGUAGES, *ON_A_GPU)]
    for language in languages:
        if path.suffix == language.suffix:
            return language
    known = ", ".join(f"{language.suffix} ({language.name})" for language in languages)
    raise UsageError(f"{path} does not end in {known}; name its language with --language")


__all__ = [
    "LANGUAGES",
    "ON_A_GPU",
    "OPTIONAL",
    "Language",
    "language_named",
    "language_of",
    "languages_here",
]
