"""Drafts in Python for MPI ranks.

A draft is a module that defines `run(comm, <inputs in contract order>, <outputs>)`, which every
rank calls with a communicator of mpi4py and its own block of each array; it returns nothing.
Scalars, int arguments among them, are those of the whole problem. A draft that wants the global
sizes declares one more parameter, `*, sizes`, a dict of dims and int arguments. Which block a rank
owns follows from `outpace.codegen.mpi.layout`; the flag `grid` names the dims that are cut.
Parameters are module constants that the tuner sets.

A draft may hold a kernel in C, as text in the constant `KERNEL_C` with options of the compiler in
`KERNEL_OPTIONS`. It is compiled from there without running anything of the draft, and the draft
finds it in the folder that its constant `BUILDS` is set to.

Without mpi4py drafts can still be checked, on the simulated communicator.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, ModuleType
from typing import Any

from outpace.codegen.abi import slots
from outpace.codegen.mpi.embedded import Embedded, embedded_c
from outpace.codegen.mpi.templates.compiled import LINKING, library_name
from outpace.errors import DraftError
from outpace.kernels.languages.base import BuildError, InvalidDraft, Kernel
from outpace.kernels.languages.compilers import CompilerError, find_compiler
from outpace.kernels.languages.numba import NUMBA
from outpace.kernels.languages.numba_cache import cache_folder, keep_compiled
from outpace.model import Contract, Variant


class Mpi:
    """See the module."""

    name = "mpi"
    suffix = ".py"
    comment = "#"
    runs_to_build = False

    def unavailable(self) -> str | None:
        """Why drafts cannot be run under MPI here, or None."""
        if importlib.util.find_spec("mpi4py") is None:
            return "mpi4py is not installed; pip install 'outpace[mpi-local]', which brings MPICH"
        return None

    def bind(self, variant: Variant) -> str:
        """The module with one assignment a parameter, as for Numba."""
        return NUMBA.bind(variant)

    def build(self, path: Path, contract: Contract, cache: Path) -> None:  # noqa: ARG002
        """Compile the kernel in C that the draft holds; nothing is done where it holds none.

        What Numba compiles, it compiles when it is called.

        Raises:
            BuildError: It does not compile.
            InvalidDraft: Its constants are no literals, or an option is not allowed.
            EnvironmentError_: There is no compiler.
        """
        cache.mkdir(parents=True, exist_ok=True)
        kernel = _kernel_in_c(path)
        if kernel is not None and not (cache / library_name(*kernel)).exists():
            _compile(kernel, cache)

    def load(self, path: Path, contract: Contract, cache: Path) -> Kernel:
        """The function `run` of a module imported anew: no two loads share a variable.

        Raises:
            BuildError: It does not parse, or holds a kernel in C that `build` has not compiled.
            InvalidDraft: It defines no `run` that can be called.
        """
        kernel = _kernel_in_c(path)
        if kernel is not None and not (cache / library_name(*kernel)).exists():
            raise BuildError(f"its kernel in C is not in {cache}; build it first")
        module = _imported(path, cache)
        run = getattr(module, "run", None)
        if not inspect.isfunction(run):
            raise InvalidDraft("the draft does not define a function named `run`")
        _check_signature(run, contract)
        if "numba" in sys.modules:
            with cache_folder(cache / "numba"):
                keep_compiled(module, cache)
        return run


MPI = Mpi()


def takes_sizes(run: Kernel) -> bool:
    """Whether a draft wants the global sizes."""
    parameter = inspect.signature(run).parameters.get("sizes")
    return parameter is not None and parameter.kind is parameter.KEYWORD_ONLY


def _kernel_in_c(path: Path) -> Embedded | None:
    return _embedded(path.read_bytes())


@lru_cache(maxsize=1)
def _embedded(text: bytes) -> Embedded | None:
    try:
        return embedded_c(text.decode(errors="replace"))
    except DraftError as error:
        raise InvalidDraft(str(error)) from error


def _compile(kernel: Embedded, cache: Path) -> None:
    """Compile as `outpace.codegen.mpi.templates.compiled` does in a program that runs alone."""
    compiler = find_compiler()
    with TemporaryDirectory(prefix=".building-", dir=cache) as name:
        folder = Path(name)
        (folder / "kernel.c").write_text(kernel.source, encoding="utf-8")
        try:
            compiler.run([*kernel.options, "-c", "kernel.c"], folder)
            compiler.run([*LINKING, "kernel.o", "-lm", "-o", "kernel.so"], folder)
        except CompilerError as error:
            raise BuildError(str(error)) from error
        (folder / "kernel.so").replace(cache / library_name(*kernel))


def _imported(path: Path, cache: Path) -> ModuleType:
    text = path.read_bytes()
    # Numba's cache names the module, so that its name must be the same wherever the file lies.
    name = f"outpace_draft_{hashlib.sha256(text).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the file's name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    vars(module)["BUILDS"] = str(cache)
    exec(_code(text, path), vars(module))  # noqa: S102  (in a confined process)
    return module


@lru_cache(maxsize=1)  # every simulated rank loads the same text
def _code(text: bytes, path: Path) -> CodeType:
    try:
        return compile(text, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BuildError(f"{type(error).__name__}: {error}") from error


def _check_signature(run: Any, contract: Contract) -> None:
    wanted = ["comm", *(slot.name for slot in slots(contract))]
    keywords: dict[str, Any] = {"sizes": {}} if takes_sizes(run) else {}
    try:
        inspect.signature(run).bind(*wanted, **keywords)
    except TypeError as error:
        raise InvalidDraft(
            f"run{inspect.signature(run)} cannot be called with run({', '.join(wanted)}): {error}"
        ) from error
