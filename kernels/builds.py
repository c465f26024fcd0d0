"""Builds of promotions: made once for a kind of machine, then found by every process.

A build is a folder with the bound draft and what its language compiled of it. It appears whole, and
nothing in it changes afterwards, so that any number of processes may load it at once, from a folder
that they cannot write to, and without a compiler.

    looked for in   OUTPACE_BUILDS, if it is set, and nowhere else: nothing is compiled then
                    else the user's cache folder, else one of this user beside the temporary files
    made in         the first of the last two that can be written to
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from outpace import environment
from outpace.codec import content_hash
from outpace.errors import EnvironmentError_
from outpace.kernels import target
from outpace.kernels.languages import ON_A_GPU, OPTIONAL, language_named
from outpace.kernels.languages.base import BuildError, Kernel, Language
from outpace.model import Contract, Variant

_MANIFEST = "build.json"
_STAGED, _DAMAGED = ".new-", ".old-"
"""How folders begin that are about to be a build, or no longer are one."""


class _Manifest(msgspec.Struct):
    """What a build consists of, by path within its folder: SHA-256."""

    files: dict[str, str]


def load_promoted(variant: Variant, contract: Contract, *, on_gpu: bool = False) -> Kernel:
    """The kernel of a promotion, for the process of the caller; compiled where nobody has.

    Args:
        variant: Of the promotion.
        contract: Of its reference.
        on_gpu: Whether it takes arrays on a GPU.

    Raises:
        BuildError: It does not compile, or what was compiled cannot be loaded.
        InvalidDraft: It does not define the kernel.
        EnvironmentError_: There is no compiler, or OUTPACE_BUILDS holds no build of it.
    """
    name = _name(variant, contract)
    given = environment.builds_override()
    if given is not None:
        if not _is_intact(given / name):
            raise EnvironmentError_(
                f"OUTPACE_BUILDS={given} holds no intact build of it for this machine; run "
                f"`outpace build --into {given}` on a machine of this kind"
            )
        return _load(given / name, variant, contract, on_gpu=on_gpu)
    roots = _roots()
    found = next((root / name for root in roots if _is_intact(root / name)), None)
    folder = found or _made(_first_writable(roots), variant, contract)
    return _load(folder, variant, contract, on_gpu=on_gpu)


def build(variant: Variant, contract: Contract, into: Path | None = None) -> Path:
    """Build for this machine, if that is not done yet; returns the folder.

    Args:
        variant: Of a promotion.
        contract: Of its reference.
        into: Folder of builds; by default that in which `load_promoted` looks first.

    Raises:
        BuildError, InvalidDraft, EnvironmentError_: As `load_promoted`; or it cannot be written.
    """
    root = into or environment.builds_override() or _first_writable(_roots())
    return _made(root, variant, contract)


def _name(variant: Variant, contract: Contract) -> str:
    """Tells a build from those of other kernels, and of machines that could not load it.

    The version of a C compiler is no part of it: where builds are loaded there may be none.
    """
    here = target.hardware()
    told = [variant.hash, contract, here.architecture, here.cpu, os.confstr("CS_GNU_LIBC_VERSION")]
    language = variant.draft.language
    if language in ON_A_GPU:
        told += [here.gpu, here.driver]
    if language in OPTIONAL or language_named(language).runs_to_build:
        versions = target.current_target().versions
        told += [versions.get(n, "") for n in target.toolchain(language)]
        told.append(sys.version_info[:2])
    return f"{variant.hash}-{content_hash(told)}"


def _load(folder: Path, variant: Variant, contract: Contract, *, on_gpu: bool) -> Kernel:
    language = language_named(variant.draft.language)
    if on_gpu:
        from outpace.kernels.languages.cuda import CUDA  # noqa: PLC0415  (only where there is one)

        return CUDA.load_on_gpu(_source(folder, language), contract, folder)
    return language.load(_source(folder, language), contract, folder)


def _source(folder: Path, language: Language) -> Path:
    return folder / f"draft{language.suffix}"


# --- Where builds are ---------------------------------------------------------------------------


def _roots() -> list[Path]:
    """Folders of builds of this user, the last only if nobody else can have put builds there."""
    roots = [environment.cache_dir() / "builds"]
    shared = environment.temporary_dir() / f"outpace-{os.getuid()}"
    with contextlib.suppress(OSError):
        shared.mkdir(mode=0o700, exist_ok=True)
        found = shared.lstat()
        if (
            stat.S_ISDIR(found.st_mode)
            and found.st_uid == os.getuid()
            and not found.st_mode & 0o077
        ):
            roots.append(shared / "builds")
    return roots


def _first_writable(roots: list[Path]) -> Path:
    for root in roots:
        with contextlib.suppress(OSError):
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.access(root, os.W_OK | os.X_OK):
                return root
    raise EnvironmentError_(
        f"no folder for builds can be written to, neither {' nor '.join(map(str, roots))}; make "
        "one writable, or set OUTPACE_BUILDS to one that `outpace build --into` has filled"
    )


def _is_intact(folder: Path) -> bool:
    """Whether a build is there as it was made."""
    try:
        manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=_Manifest)
        return all(_digest(folder / name) == known for name, known in manifest.files.items())
    except (OSError, msgspec.MsgspecError, ValueError):
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- Making one ---------------------------------------------------------------------------------


def _made(root: Path, variant: Variant, contract: Contract) -> Path:
    """The build in this folder of builds; one process makes it, and others wait for it."""
    folder = root / _name(variant, contract)
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _lock(root / f".{folder.name}.lock"):
            if not _is_intact(folder):
                _make(folder, variant, contract)
    except OSError as error:
        raise EnvironmentError_(
            f"the build cannot be written to {folder}: {error.strerror or error}; make room or "
            "make it writable"
        ) from error
    return folder


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Wait until no other process builds the same.

    Where a file system knows no locks, several may build at once, and the first wins.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make(folder: Path, variant: Variant, contract: Contract) -> None:
    language = language_named(variant.draft.language)
    reason = language.unavailable()
    if reason is not None:
        raise EnvironmentError_(reason)
    staged = folder.with_name(f"{_STAGED}{secrets.token_hex(8)}")
    staged.mkdir(mode=0o700)
    try:
        source = _source(staged, language)
        source.write_text(language.bind(variant), encoding="utf-8")
        language.build(source, contract, staged)
        files = {str(p.relative_to(staged)): _digest(p) for p in _files(staged)}
        (staged / _MANIFEST).write_bytes(msgspec.json.encode(_Manifest(files)))
        _put_in_place(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    if not _is_intact(folder):
        raise BuildError(f"the build in {folder} was changed while it was made; try again")


def _files(folder: Path) -> list[Path]:
    """What a build consists of; not the byte code that Python keeps beside a module."""
    found = (p for p in folder.rglob("*") if p.is_file() and p.parent.name != "__pycache__")
    return sorted(found)


def _put_in_place(staged: Path, folder: Path) -> None:
    """Give a whole build its name; a damaged one that has it makes way."""
    while True:
        try:
            staged.rename(folder)
        except OSError:
            if _is_intact(folder):
                return  # another process was faster
            damaged = folder.with_name(f"{_DAMAGED}{secrets.token_hex(8)}")
            folder.rename(damaged)  # a library in use is never written to
            shutil.rmtree(damaged, ignore_errors=True)
        else:
            return
