"""Drafts in Python for Numba.

A draft is a module that defines `kernel(<inputs in contract order>, <outputs>)`: an njit
dispatcher, or a plain function over NumPy and njit functions. It returns nothing. Parameters are
module constants that the tuner sets.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from outpace.codegen.abi import Role, Slot, slots
from outpace.codegen.constants import UNPARSABLE, with_constants
from outpace.kernels.languages.base import BuildError, InvalidDraft, Kernel
from outpace.kernels.languages.numba_cache import cache_folder, keep_compiled
from outpace.kernels.languages.openmp import load_runtime
from outpace.model import Contract, Variant


class Numba:
    """See the module."""

    name = "numba"
    suffix = ".py"
    comment = "#"
    runs_to_build = True

    def unavailable(self) -> str | None:
        """Numba is a dependency, so only a broken installation lacks it."""
        if importlib.util.find_spec("numba") is None:
            return "numba is not installed; pip install numba"
        return None

    def bind(self, variant: Variant) -> str:
        """The module with its parameters as constants, whatever it assigns to them itself."""
        return with_constants(variant.draft.source, variant.params)

    def build(self, path: Path, contract: Contract, cache: Path) -> None:
        """Compile for the contract's types; a plain function compiles at its first call."""
        cache.mkdir(parents=True, exist_ok=True)
        self.load(path, contract, cache)

    def load(self, path: Path, contract: Contract, cache: Path) -> Kernel:
        """The kernel, compiled or taken from the cache."""
        import numba  # noqa: PLC0415

        load_runtime()
        kernel = self._import(path, contract, cache)
        if isinstance(kernel, numba.core.dispatcher.Dispatcher):
            signature = tuple(_numba_type(slot) for slot in slots(contract))
            if kernel.signatures and signature not in kernel.overloads:
                raise BuildError(
                    f"kernel is compiled for {kernel.signatures}, needed is {signature}; "
                    "leave the signature out of njit"
                )
            try:
                kernel.compile(signature)
            except numba.core.errors.NumbaError as error:
                raise BuildError(str(error)) from error
        return kernel

    def _import(self, path: Path, contract: Contract, cache: Path) -> Kernel:
        with cache_folder(cache / "numba"):
            module = _import_draft(path)
            kernel = getattr(module, "kernel", None)
            if not callable(kernel):
                raise InvalidDraft("the draft does not define a function named `kernel`")
            _check_signature(kernel, contract)
            keep_compiled(module, cache)
        return kernel  # type: ignore[no-any-return]


NUMBA = Numba()


def _import_draft(path: Path) -> ModuleType:
    import numba  # noqa: PLC0415

    # Numba's cache names the module, so that its name must be the same wherever the file lies.
    name = f"outpace_draft_{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Numba looks the module up by name when it loads from its cache
    try:
        compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except UNPARSABLE as error:
        raise BuildError(f"{type(error).__name__}: {error}") from error
    try:
        spec.loader.exec_module(module)
    except numba.core.errors.NumbaError as error:
        raise BuildError(f"{type(error).__name__}: {error}") from error
    return module


def _check_signature(kernel: Any, contract: Contract) -> None:
    function = getattr(kernel, "py_func", kernel)
    if not inspect.isfunction(function):
        raise InvalidDraft(f"`kernel` is a {type(kernel).__name__}, not a function")
    wanted = [slot.name for slot in slots(contract)]
    try:
        inspect.signature(function).bind(*wanted)
    except TypeError as error:
        raise InvalidDraft(
            f"kernel{inspect.signature(function)} cannot be called with "
            f"kernel({', '.join(wanted)}): {error}"
        ) from error


def _numba_type(slot: Slot) -> Any:
    import numba  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    dtype = numba.from_dtype(np.dtype(slot.dtype))
    if slot.role is Role.SCALAR:
        return dtype
    return numba.types.Array(dtype, len(slot.dims), "C")
