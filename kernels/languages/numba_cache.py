"""Where Numba keeps what it compiles of a draft."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import FunctionType, ModuleType
from typing import Any

_config_lock = Lock()


class DraftLocator:
    """A cache locator in the sense of `numba.core.caching`, whose folder can be moved.

    Numba's own locators name the folder by the path of the source and insist on writing to it, so
    that a build could be neither put in place whole nor be shared read-only.
    """

    def __init__(self, folder: Path, source: Path, line: int) -> None:
        self._folder = folder
        self._source = source
        self._line = line

    @classmethod
    def from_function(cls, function: FunctionType, file: str) -> DraftLocator:
        """The locator of a function of a draft; `cache_folder` says where."""
        import numba  # noqa: PLC0415

        folder = Path(numba.config.CACHE_DIR)
        return cls(folder, Path(file), function.__code__.co_firstlineno)

    def get_cache_path(self) -> str:
        """Folder of the compiled functions."""
        return str(self._folder)

    def ensure_cache_path(self) -> None:
        """Make that folder, before something is written to it; raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def get_source_stamp(self) -> str:
        """Tells whether what was compiled is of this source."""
        return hashlib.sha256(self._source.read_bytes()).hexdigest()

    def get_disambiguator(self) -> str:
        """Tells functions of one name apart."""
        return str(self._line)


@contextmanager
def cache_folder(folder: Path) -> Iterator[None]:
    """Functions for which caching is enabled meanwhile are kept in this folder.

    Numba reads both from globals at `enable_caching`.
    """
    import numba  # noqa: PLC0415

    locator = f"{DraftLocator.__module__}.{DraftLocator.__qualname__}"
    with _config_lock:
        before = numba.config.CACHE_DIR, numba.config.CACHE_LOCATOR_CLASSES
        numba.config.CACHE_DIR, numba.config.CACHE_LOCATOR_CLASSES = str(folder), locator
        try:
            yield
        finally:
            numba.config.CACHE_DIR, numba.config.CACHE_LOCATOR_CLASSES = before


def keep_compiled(module: ModuleType, folder: Path) -> None:
    """Let Numba keep what it compiles of a draft, where the folder can be written to.

    Call it within `cache_folder`.
    """
    import numba  # noqa: PLC0415

    for value in vars(module).values():
        if isinstance(value, numba.core.dispatcher.Dispatcher):
            value.enable_caching()
            if not os.access(folder, os.W_OK):  # what it compiles from now on is not kept
                value._cache.save_overload = _keep_nothing  # noqa: SLF001


def _keep_nothing(signature: Any, compiled: Any) -> None:
    """In the place of `Cache.save_overload`, which would raise in the caller's own call."""
