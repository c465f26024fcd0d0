"""Drafts in Python for Numba.

A draft is a module that defines `kernel(<inputs in contract order>, <outputs>)`: an njit
dispatcher, or a plain function over NumPy and njit functions. It returns nothing. Parameters are
module constants that the tuner sets.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from outpace.codegen.abi import Role, Slot, slots
from outpace.kernels.languages.base import BuildError, InvalidDraft, Kernel
from outpace.kernels.languages.numba_cache import cache_folder
from outpace.kernels.languages.openmp import load_runtime
from outpace.model import Contract, Variant

_UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What Python raises on text that is no module, the last two for one that is nested too deeply."""


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
        """The module with one assignment a parameter above its first statement.

        What the module itself assigns to a parameter is taken out: it would win otherwise, and all
        variants would be the same.
        """
        if not variant.params:
            return variant.draft.source
        assignments = [f"{name} = {value!r}" for name, value in variant.params.items()]
        lines = variant.draft.source.split("\n")
        body = _statements(variant.draft.source)
        for node in body:
            if _assigned(node) in variant.params:
                last = node.end_lineno or node.lineno
                lines[node.lineno - 1 : last] = [""] * (last - node.lineno + 1)
        at = _line_after_preamble(body)
        return "\n".join([*lines[:at], *assignments, *lines[at:]])

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
        import numba  # noqa: PLC0415

        with cache_folder(cache / "numba"):
            module = _import_draft(path)
            kernel = getattr(module, "kernel", None)
            if not callable(kernel):
                raise InvalidDraft("the draft does not define a function named `kernel`")
            _check_signature(kernel, contract)
            for value in vars(module).values():
                if isinstance(value, numba.core.dispatcher.Dispatcher):
                    value.enable_caching()
                    if not os.access(cache, os.W_OK):  # what it compiles from now on is not kept
                        value._cache.save_overload = _keep_nothing  # noqa: SLF001
        return kernel  # type: ignore[no-any-return]


NUMBA = Numba()


def _keep_nothing(signature: Any, compiled: Any) -> None:
    """In the place of `Cache.save_overload`, which would raise in the caller's own call."""


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
    except _UNPARSABLE as error:
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


def _statements(source: str) -> list[ast.stmt]:
    """Statements of a module; none where it does not parse, and the build says why."""
    try:
        return ast.parse(source).body
    except _UNPARSABLE:
        return []


def _assigned(node: ast.stmt) -> str | None:
    """The one name that a statement assigns to."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return None


def _line_after_preamble(body: Sequence[ast.stmt]) -> int:
    """Number of lines taken by the docstring and `__future__` imports."""
    end = 0
    for position, node in enumerate(body):
        is_docstring = (
            position == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        )
        is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not (is_docstring or is_future):
            break
        end = node.end_lineno or 0
    return end
