"""Drafts in C17 with OpenMP, through the system's compiler.

A draft defines `void kernel(<dims as int64_t>, <inputs in contract order>, <outputs>)`; the details
are in docs/drafts.md. Parameters are macros. The flags of a draft are options of the compiler, each
with the value true, from `outpace.codegen.c_options`: none names a file, a program or a plugin.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from outpace.codec import content_hash
from outpace.codegen.c_options import COMPILE, LINK, chosen_options
from outpace.codegen.c_signature import declaration, signature
from outpace.codegen.macros import macros, without_own_definitions
from outpace.errors import DraftError, EnvironmentError_
from outpace.kernels.languages.base import (
    BuildError,
    InvalidDraft,
    Kernel,
    parse_draft,
    render_draft,
)
from outpace.kernels.languages.c_entry import entry_source, load_entry
from outpace.kernels.languages.compilers import Compiler, CompilerError, find_compiler, refusal
from outpace.model import Contract, Draft, Parameter, Provenance, Variant


class CLanguage:
    """See the module."""

    name = "c"
    suffix = ".c"
    comment = "//"
    runs_to_build = False

    def unavailable(self) -> str | None:
        """Tries the compiler, once a process: without headers or OpenMP it is of no use."""
        try:
            return refusal(find_compiler())
        except EnvironmentError_ as error:
            return str(error)

    def bind(self, variant: Variant) -> str:
        """A draft whose parameters have one value each; `build` makes macros of them."""
        draft = variant.draft
        bound = tuple(Parameter(name, (value,)) for name, value in variant.params.items())
        return render_draft(Draft(self.name, draft.source, bound, (), draft.flags), self)

    def build(self, path: Path, contract: Contract, cache: Path) -> None:
        """Compile into one file of the cache folder, which appears there whole.

        Raises:
            BuildError: It does not compile or link.
            InvalidDraft: There is no kernel of the right type, or a flag is not in `FLAGS`.
            EnvironmentError_: There is no compiler.
        """
        _build(_read(path.read_text(encoding="utf-8"), contract), cache)

    def load(self, path: Path, contract: Contract, cache: Path) -> Kernel:
        """The kernel that `build` has left in the cache folder; starts no process.

        Raises:
            BuildError: It is not there, or cannot be loaded.
            InvalidDraft: A flag is not in `FLAGS`.
        """
        return _load(_read(path.read_text(encoding="utf-8"), contract), cache)


C = CLanguage()


@dataclass(frozen=True)
class _Recipe:
    """What a build is made from, the machine and its compiler aside.

    Attributes:
        contract: Of the reference.
        macros: Definitions of the parameters, one a line.
        source: The draft, at the lines that it has in its file.
        flags: Its options.
    """

    contract: Contract
    macros: str
    source: str
    flags: tuple[str, ...]

    @property
    def key(self) -> str:
        """Content hash of all that goes into the build."""
        texts = [self.macros, self.source, declaration(self.contract), entry_source(self.contract)]
        return content_hash([texts, [*COMPILE, *self.flags], LINK])

    def find(self, cache: Path) -> Path | None:
        """The build in this folder, if it is what was put there."""
        for path in sorted(cache.glob(f"{self.key}-*.so")):
            if path.name == self.file_name(path.read_bytes()):
                return path
        return None

    def file_name(self, content: bytes) -> str:
        """Name of a build in a cache folder; it tells a damaged file from an intact one."""
        return f"{self.key}-{hashlib.sha256(content).hexdigest()[:16]}.so"


def _read(text: str, contract: Contract) -> _Recipe:
    try:
        draft = parse_draft(text, C, Provenance("user"))
        options = chosen_options(draft.flags)
    except DraftError as error:
        raise InvalidDraft(str(error)) from error
    source = draft.source if draft.source == text else f"\n{draft.source}"
    source = without_own_definitions(source, draft.parameters)
    return _Recipe(contract, macros(draft.parameters), source, options)


# --- Building -----------------------------------------------------------------------------------


def _build(recipe: _Recipe, cache: Path) -> None:
    """See `CLanguage.build`."""
    if recipe.find(cache) is not None:
        return
    compiler = find_compiler()
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".building-", dir=cache) as name:
        folder = Path(name)
        (folder / "draft.c").write_text(recipe.source, encoding="utf-8")
        (folder / "entry.c").write_text(entry_source(recipe.contract), encoding="utf-8")
        _compile(compiler, recipe, folder)
        _link(compiler, recipe, folder)
        library = folder / "kernel.so"
        library.replace(cache / recipe.file_name(library.read_bytes()))


def _compile(compiler: Compiler, recipe: _Recipe, folder: Path) -> None:
    before = folder / "before.h"
    lines = ["#include <stdint.h>", declaration(recipe.contract), recipe.macros]
    before.write_text("\n".join(lines), encoding="utf-8")
    command = [*COMPILE, *recipe.flags, "-include", before.name, "-c", "draft.c"]
    try:
        compiler.run(command, folder)
    except CompilerError as error:
        del lines[1]
        before.write_text("\n".join(lines), encoding="utf-8")
        if _succeeds(compiler, command, folder):  # so it is the type of `kernel` alone
            raise InvalidDraft(_wrong_kernel(recipe.contract, error)) from error
        raise BuildError(str(error)) from error


def _link(compiler: Compiler, recipe: _Recipe, folder: Path) -> None:
    command = [*LINK, "-o", "kernel.so", "draft.o"]
    try:
        compiler.run([*command, "entry.c", "-lm"], folder)
    except CompilerError as error:
        if _succeeds(compiler, [*command, "-lm"], folder):
            raise InvalidDraft(_wrong_kernel(recipe.contract, error)) from error
        raise BuildError(str(error)) from error


def _succeeds(compiler: Compiler, command: Sequence[str], folder: Path) -> bool:
    try:
        compiler.run(command, folder)
    except CompilerError:
        return False
    return True


def _wrong_kernel(contract: Contract, error: CompilerError) -> str:
    first, _, rest = str(error).partition("\n")
    return f"the draft must define `{signature(contract)}`; {first}\n{rest}"


def _load(recipe: _Recipe, cache: Path) -> Kernel:
    """See `CLanguage.load`."""
    found = recipe.find(cache)
    if found is None:
        raise BuildError(f"there is no intact build in {cache}; build it first")
    try:
        return load_entry(found, recipe.contract)
    except OSError as error:
        raise BuildError(f"the build cannot be loaded: {error}") from error
