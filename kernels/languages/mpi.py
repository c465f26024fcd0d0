"""Drafts in Python for MPI ranks.

A draft is a module that defines `run(comm, <inputs in contract order>, <outputs>)`, which every
rank calls with a communicator of mpi4py and its own block of each array; it returns nothing.
Scalars, int arguments among them, are those of the whole problem. A draft that wants the global
sizes declares one more parameter, `*, sizes`, a dict of dims and int arguments. Which block a rank
owns follows from `outpace.codegen.mpi.layout`; the flag `grid` names the dims that are cut.
Parameters are module constants that the tuner sets.

Without mpi4py drafts can still be checked, on the simulated communicator.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from outpace.codegen.abi import slots
from outpace.kernels.languages.base import BuildError, InvalidDraft, Kernel
from outpace.kernels.languages.numba import NUMBA
from outpace.model import Contract, Variant


class Mpi:
    """See the module."""

    name = "mpi"
    suffix = ".py"
    comment = "#"
    runs_to_build = True

    def unavailable(self) -> str | None:
        """Why drafts cannot be run under MPI here, or None."""
        if importlib.util.find_spec("mpi4py") is None:
            return "mpi4py is not installed; pip install 'outpace[mpi-local]', which brings MPICH"
        return None

    def bind(self, variant: Variant) -> str:
        """The module with one assignment a parameter, as for Numba."""
        return NUMBA.bind(variant)

    def build(self, path: Path, contract: Contract, cache: Path) -> None:
        """Import the module and look at `run`; what it compiles, it compiles when it is called."""
        cache.mkdir(parents=True, exist_ok=True)
        self.load(path, contract, cache)

    def load(self, path: Path, contract: Contract, cache: Path) -> Kernel:
        """The function `run` of a module imported anew: no two loads share a variable."""
        module = _imported(path)
        run = getattr(module, "run", None)
        if not inspect.isfunction(run):
            raise InvalidDraft("the draft does not define a function named `run`")
        _check_signature(run, contract)
        if "numba" in sys.modules:
            _keep_compiled(module, cache)
        return run


MPI = Mpi()


def takes_sizes(run: Kernel) -> bool:
    """Whether a draft wants the global sizes."""
    parameter = inspect.signature(run).parameters.get("sizes")
    return parameter is not None and parameter.kind is parameter.KEYWORD_ONLY


def _imported(path: Path) -> ModuleType:
    # Numba's cache names the module, so that its name must be the same wherever the file lies.
    name = f"outpace_draft_{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BuildError(f"{type(error).__name__}: {error}") from error
    spec.loader.exec_module(module)
    return module


def _check_signature(run: Any, contract: Contract) -> None:
    wanted = ["comm", *(slot.name for slot in slots(contract))]
    keywords: dict[str, Any] = {"sizes": {}} if takes_sizes(run) else {}
    try:
        inspect.signature(run).bind(*wanted, **keywords)
    except TypeError as error:
        raise InvalidDraft(
            f"run{inspect.signature(run)} cannot be called with run({', '.join(wanted)}): {error}"
        ) from error


def _keep_compiled(module: ModuleType, cache: Path) -> None:
    """Let Numba keep what it compiles of the draft in the cache folder."""
    import numba  # noqa: PLC0415

    from outpace.kernels.languages.numba_cache import cache_folder  # noqa: PLC0415

    with cache_folder(cache / "numba"):
        for value in vars(module).values():
            if isinstance(value, numba.core.dispatcher.Dispatcher):
                value.enable_caching()
