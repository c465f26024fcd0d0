"""The languages drafts are written in, one module each, all under one conformance suite."""

from __future__ import annotations

from outpace.errors import UsageError
from outpace.kernels.languages.base import Language

LANGUAGES = ("numba",)


def language_named(name: str) -> Language:
    """The language of that name.

    Raises:
        UsageError: There is none; the message lists those there are.
    """
    if name == "numba":
        from outpace.kernels.languages.numba import NUMBA  # noqa: PLC0415  (imports on demand)

        return NUMBA
    raise UsageError(f"no language {name!r}; there are {', '.join(LANGUAGES)}")


__all__ = ["LANGUAGES", "Language", "language_named"]
