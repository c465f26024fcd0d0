"""Drafts in Python for Pythran, which compiles them ahead through C++.

A draft is a module that defines `kernel(<inputs in contract order>, <outputs>)` in the Python that
Pythran knows; outputs are written in place, as in `out[:] = ...`. What it is exported as follows
from the contract, unless the draft has a `#pythran export` of its own. Parameters are module
constants. Flags of a draft are options of the compiler, each with the value true, from `FLAGS`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from outpace.codec import content_hash
from outpace.codegen.abi import Role, Slot, slots
from outpace.errors import DraftError, EnvironmentError_
from outpace.kernels.languages.base import (
    BuildError,
    InvalidDraft,
    Kernel,
    parse_draft,
    render_draft,
)
from outpace.kernels.languages.compilers import run_in
from outpace.kernels.languages.numba import NUMBA
from outpace.kernels.languages.openmp import load_runtime
from outpace.model import Contract, Draft, Provenance, Variant

FLAGS = frozenset(
    {
        "-DUSE_XSIMD",
        "-O2",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-fopenmp",
        "-funroll-loops",
        "-mprefer-vector-width=256",
        "-mprefer-vector-width=512",
    }
)
"""What a draft may add to `_OPTIONS`. Pythran links with them too: linked with -ffast-math, a
module flushes subnormals of the whole process to zero from the moment it is loaded."""

_OPTIONS = ("-O3", "-march=native")
_COMPILERS = ("c++", "g++", "clang++")
_EXPORT = "#pythran export"
_LONGEST = 8000
"""Characters of a message; those of a C++ compiler have no end."""


class PythranLanguage:
    """See the module."""

    name = "pythran"
    suffix = ".py"
    comment = "#"
    runs_to_build = False

    def unavailable(self) -> str | None:
        """It is an optional package, and needs a compiler of C++."""
        if importlib.util.find_spec("pythran") is None:
            return "pythran is not installed; pip install 'outpace[pythran]'"
        if not any(map(shutil.which, _COMPILERS)):
            return "there is no C++ compiler; install g++ or clang++ (apt-get install g++)"
        return None

    def bind(self, variant: Variant) -> str:
        """The module with one assignment a parameter, below a header that holds the flags."""
        source = NUMBA.bind(variant)
        return render_draft(Draft(self.name, source, (), (), variant.draft.flags), self)

    def build(self, path: Path, contract: Contract, cache: Path) -> None:
        """Compile into one file of the cache folder, which appears there whole.

        Raises:
            BuildError: Pythran, or the compiler behind it, refuses the draft.
            InvalidDraft: There is no kernel with these arguments, or a flag is not in `FLAGS`.
            EnvironmentError_: Pythran cannot be started.
        """
        recipe = _read(path.read_text(encoding="utf-8"), contract)
        if recipe.find(cache) is not None:
            return
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".building-", dir=cache) as name:
            built = _compiled(recipe, Path(name))
            built.replace(cache / recipe.file_name(built.read_bytes()))

    def load(self, path: Path, contract: Contract, cache: Path) -> Kernel:
        """The kernel that `build` has left in the cache folder; starts no process.

        Raises:
            BuildError: It is not there, or cannot be loaded.
            InvalidDraft: As `build`.
        """
        recipe = _read(path.read_text(encoding="utf-8"), contract)
        found = recipe.find(cache)
        if found is None:
            raise BuildError(f"there is no intact build in {cache}; build it first")
        load_runtime()
        loader = importlib.machinery.ExtensionFileLoader(recipe.module, str(found))
        spec = importlib.util.spec_from_loader(recipe.module, loader)
        assert spec is not None
        try:
            module = importlib.util.module_from_spec(spec)
            loader.exec_module(module)
        except ImportError as error:
            raise BuildError(f"the build cannot be loaded: {error}") from error
        kernel: Kernel = module.kernel
        return kernel


PYTHRAN = PythranLanguage()


@dataclass(frozen=True)
class _Recipe:
    """What a build is made from.

    Attributes:
        source: The module, with what it exports.
        flags: Its options.
    """

    source: str
    flags: tuple[str, ...]

    @property
    def module(self) -> str:
        """Name of the built module: two of one name could not be loaded into one process."""
        python = list(sys.version_info[:2])
        told = [self.source, [*_OPTIONS, *self.flags], _pythran_version(), python]
        return f"kernel_{content_hash(told)}"

    def find(self, cache: Path) -> Path | None:
        """The build in this folder, if it is what was put there."""
        for path in sorted(cache.glob(f"{self.module}-*.so")):
            if path.name == self.file_name(path.read_bytes()):
                return path
        return None

    def file_name(self, content: bytes) -> str:
        """Name of a build in a cache folder; it tells a damaged file from an intact one."""
        return f"{self.module}-{hashlib.sha256(content).hexdigest()[:16]}.so"


@lru_cache(maxsize=1)
def _pythran_version() -> str:
    return importlib.metadata.version("pythran")


def _read(text: str, contract: Contract) -> _Recipe:
    try:
        draft = parse_draft(text, PYTHRAN, Provenance("user"))
    except DraftError as error:
        raise InvalidDraft(str(error)) from error
    for name, value in draft.flags.items():
        if name not in FLAGS or not isinstance(value, bool):
            raise InvalidDraft(
                f"the flag {name!r}: {value!r} is not taken; flags of pythran are options of the "
                f'compiler, as in {{"-DUSE_XSIMD": true}}, among {", ".join(sorted(FLAGS))}'
            )
    _check_kernel(draft.source, slots(contract))
    source = draft.source
    if _EXPORT not in source:
        exported = ", ".join(map(_type, slots(contract)))
        source = f"{_EXPORT} kernel({exported})\n{source}"
    return _Recipe(source, tuple(sorted(name for name, value in draft.flags.items() if value)))


def _check_kernel(source: str, wanted: Sequence[Slot]) -> None:
    """Refuse a module without a kernel of so many arguments; Pythran's message would be a riddle.

    Raises:
        BuildError: It is no Python.
        InvalidDraft: There is no such kernel.
    """
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BuildError(f"{type(error).__name__}: {error}") from error
    names = ", ".join(slot.name for slot in wanted)
    kernels = [s for s in body if isinstance(s, ast.FunctionDef) and s.name == "kernel"]
    if not kernels:
        raise InvalidDraft(f"the draft does not define a function `kernel({names})`")
    if len(kernels[-1].args.args) != len(wanted):
        given = ast.unparse(kernels[-1].args)
        raise InvalidDraft(f"kernel({given}) cannot be called with kernel({names})")


def _type(slot: Slot) -> str:
    """What Pythran calls the type of a parameter."""
    if slot.role is Role.SCALAR:
        return {"int64": "int", "float64": "float", "complex128": "complex"}.get(
            slot.dtype, slot.dtype
        )
    if not slot.dims:
        raise InvalidDraft(f"Pythran has no arrays without axes, and {slot.name} is one")
    return f"{slot.dtype}[{', '.join(':' * len(slot.dims))}] order(C)"


def _compiled(recipe: _Recipe, folder: Path) -> Path:
    """Run Pythran in a folder, which takes its temporary files too."""
    (folder / f"{recipe.module}.py").write_text(recipe.source, encoding="utf-8")
    built = folder / f"{recipe.module}.so"
    command = [sys.executable, "-m", "pythran.run", *_OPTIONS, *recipe.flags]
    try:
        done = run_in(folder, [*command, f"{recipe.module}.py", "-o", built.name])
    except OSError as error:
        raise EnvironmentError_(f"pythran cannot be run: {error}") from error
    if done.returncode != 0 or not built.exists():
        raise BuildError(_told(done.stdout) or f"pythran ended with code {done.returncode}")
    return built


def _told(output: str) -> str:
    """What Pythran said itself, else the first error of the compiler and what follows."""
    lines = [line for line in output.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith(("CRITICAL", "ERROR")) or ": error:" in line]
    first = lines.index(own[0]) if own else 0
    return "\n".join(lines[first:])[:_LONGEST]
