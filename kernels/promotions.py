"""Promotions on disk.

A promotion is a folder `<module dir>/promoted/<qualname>/<key hash>/` with two files that people
review and commit: the draft (`draft.py`, or the suffix of its language) and `promotion.json`.
Readers see a promotion whole or not at all, also while it is replaced and after a crash.

    written to      the folder given (`--promoted`, OUTPACE_PROMOTED), else beside the module, else,
                    where that cannot be written or is an installed package, the user's data folder
    looked for in   the folder given, else beside the module and in the user's data folder
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from outpace import codec, environment
from outpace.codegen.reference import Reference
from outpace.errors import CodecError, OutpaceError, StorageError, UsageError
from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import parse_draft, render_draft
from outpace.model import Promotion, PromotionKey, Target, Workload

RECORD = "promotion.json"
_DRAFT_STEM = "draft"
_KEY_FOLDER = re.compile(r"[0-9a-f]{16}")
_PASSED_OVER = {"__pycache__", "node_modules", "site-packages"}
_ATTEMPTS = 16
"""How often a step is tried again after another process replaced the folder under it."""


class PromotionWarning(UserWarning):
    """A promotion exists but is not served; the message says why and what to do."""


@dataclass(frozen=True)
class StoredPromotion:
    """A promotion and the folder that holds it."""

    path: Path
    promotion: Promotion

    @property
    def source_path(self) -> Path:
        """The draft's file."""
        return self.path / _draft_name(self.promotion)


def key_for(
    reference: Reference, target: Target, workloads: Sequence[Workload] = (), ranks: int = 1
) -> PromotionKey:
    """The key of a promotion that was confirmed on these workloads.

    Raises:
        ContractError: The annotations are wrong, or the source is not available.
    """
    contract = reference.contract
    inputs, outputs = (a.dtype for a in contract.arguments), (o.dtype for o in contract.outputs)
    sizes = sorted((w.sizes for w in workloads), key=lambda sizes: sorted(sizes.items()))
    return PromotionKey(
        source_hash=reference.source_hash,
        dtypes=(*inputs, *outputs),
        layout="C",
        target=target.key,
        ranks=ranks,
        sizes=tuple(sizes),
    )


def folder_for(reference: Reference, override: Path | None = None) -> Path:
    """The folder to which promotions of a reference are written; it may not exist yet."""
    folders = folders_of(reference, override)
    return next((f for f in folders[:-1] if _may_write(f.parent)), folders[-1])


def refuse_unwritable(reference: Reference, override: Path | None = None) -> None:
    """Raise StorageError where `write` would, so that nobody waits for a result that is lost."""
    folder = folder_for(reference, override)
    existing = next(p for p in (folder, *folder.parents) if os.path.lexists(p))
    if not existing.is_dir():
        raise StorageError(
            f"promotions cannot be written to {folder}: {existing} is not a folder; remove it, or "
            "give another folder with --promoted"
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise StorageError(
            f"promotions cannot be written to {folder}: {existing} is not writable; make it so, or "
            "give another folder with --promoted"
        )


def folders_of(reference: Reference, override: Path | None = None) -> tuple[Path, ...]:
    """Where promotions of a reference are looked for, in order."""
    qualname = re.sub("[<>]", "", reference.fn.__qualname__)
    given = override or environment.promoted_override()
    if given is not None:
        return (given / qualname,)
    beside = reference.folder / "promoted" / qualname
    return (beside, environment.data_dir() / "promoted" / _module_name(reference) / qualname)


def find(reference: Reference, override: Path | None = None) -> list[StoredPromotion]:
    """All readable promotions of a reference, for any source, target and ranks.

    Damaged, edited and newer ones are left out with a `PromotionWarning` that names the file.
    """
    found, ignored = search(reference, override)
    for why in ignored:
        warnings.warn(f"promotion ignored: {why}", PromotionWarning, stacklevel=2)
    return found


def search(
    reference: Reference, override: Path | None = None
) -> tuple[list[StoredPromotion], list[str]]:
    """As `find`, without warnings: the readable ones, and why each of the others is ignored."""
    found, ignored = [], []
    for path in _key_folders(folders_of(reference, override)):
        try:
            found.append(read(path))
        except (OutpaceError, OSError) as error:
            if path.exists():  # else it was removed while we looked
                ignored.append(str(error))
    return found, ignored


def folders_under(paths: Iterable[Path]) -> list[Path]:
    """Folders under these files and folders that hold a promotion, sorted, absolute, each once.

    Hidden and installed ones are passed over.

    Raises:
        UsageError: A path does not exist.
    """
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise UsageError(f"no such file or folder: {path}")
        start = path.resolve() if path.is_dir() else path.resolve().parent
        for folder, names, files in os.walk(start):
            names[:] = [n for n in names if not n.startswith(".") and n not in _PASSED_OVER]
            if RECORD in files:
                found.add(Path(folder))
    return sorted(found)


def read(path: Path) -> StoredPromotion:
    """Read one promotion from its folder.

    Raises:
        CodecError: A file is missing, damaged or newer, or the draft was edited since judged.
        UsageError: It is in a language that this version does not have.
        OSError: A file cannot be read.
    """
    files = _snapshot(path)
    if RECORD not in files:
        raise CodecError(f"{path} holds no {RECORD}; restore it, or remove the folder")
    try:
        promotion = codec.decode(files[RECORD], Promotion)
    except CodecError as error:
        raise CodecError(
            f"{path / RECORD}: {error}; restore it, or remove the folder and tune again"
        ) from error
    if promotion.key.hash != path.name:
        raise CodecError(
            f"{path / RECORD} has the key {promotion.key.hash}, not that of its folder; "
            "restore it, or remove the folder and tune again"
        )
    _refuse_edited_draft(path, promotion, files)
    return StoredPromotion(path, promotion)


def write(promotion: Promotion, reference: Reference, override: Path | None = None) -> Path:
    """Store a promotion, in place of an earlier one of the same key; returns its folder.

    Raises:
        StorageError: It could not be written; an earlier one is intact.
    """
    folder = folder_for(reference, override)
    final = folder / promotion.key.hash
    draft = promotion.variant.draft
    staged = folder / f".new-{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staged.mkdir()
        text = render_draft(draft, language_named(draft.language))
        _write_durably(staged / _draft_name(promotion), text.encode())
        _write_durably(staged / RECORD, codec.pretty(codec.encode(promotion)))
        _sync_folder(staged)
        _put_in_place(staged, final)
        _sync_folder(folder)
    except OSError as error:
        raise StorageError(
            f"the promotion cannot be written to {final}: {error.strerror or error}; nothing that "
            "was there is lost; make room, or give another folder with --promoted"
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)  # half-written, or the one that was replaced
    return final


def remove(path: Path) -> None:
    """Remove a promotion; readers see it whole or not at all.

    Raises:
        StorageError: There is none, or it cannot be removed.
    """
    aside = path.with_name(f".old-{secrets.token_hex(8)}")
    try:
        path.rename(aside)
        shutil.rmtree(aside)
    except OSError as error:
        raise StorageError(
            f"the promotion {path} cannot be removed: {error.strerror or error}"
        ) from error


# --- Folders ------------------------------------------------------------------------------------


def _module_name(reference: Reference) -> str:
    """Dotted name of the defining module, also where it runs as `__main__`."""
    if reference.file is None:
        return reference.fn.__module__
    folder, parts = reference.file.parent, [reference.file.stem]
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


def _may_write(folder: Path) -> bool:
    """Whether promotions can be created there; never in an installed package."""
    if {"site-packages", "dist-packages"} & set(folder.parts):
        return False
    existing = next(p for p in (folder, *folder.parents) if os.path.lexists(p))
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _key_folders(folders: tuple[Path, ...]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_dir():
            yield from sorted(p for p in folder.iterdir() if _KEY_FOLDER.fullmatch(p.name))


# --- Reading ------------------------------------------------------------------------------------


def _draft_name(promotion: Promotion) -> str:
    return _DRAFT_STEM + language_named(promotion.variant.draft.language).suffix


def _snapshot(folder: Path) -> dict[str, bytes]:
    """The files of a promotion as they were together at one moment.

    They are opened through one descriptor of the folder, because a replacement swaps folders; it
    counts only if that folder was still in place afterwards.
    """
    for _ in range(_ATTEMPTS):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            files = {
                name: _read_at(descriptor, name)
                for name in os.listdir(descriptor)  # noqa: PTH208  (pathlib knows no descriptors)
                if name == RECORD or name.startswith(f"{_DRAFT_STEM}.")
            }
            if os.path.samestat(folder.stat(), os.fstat(descriptor)):
                return files
        except FileNotFoundError:  # replaced and cleared away while it was read
            continue
        finally:
            os.close(descriptor)
    raise CodecError(f"{folder} is being replaced over and over; try again later")


def _read_at(folder: int, name: str) -> bytes:
    with open(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:  # noqa: PTH123
        return file.read()


def _refuse_edited_draft(path: Path, promotion: Promotion, files: dict[str, bytes]) -> None:
    """Raise CodecError unless the draft's file is what was judged."""
    draft, name = promotion.variant.draft, _draft_name(promotion)
    if name not in files:
        raise CodecError(f"{path / name} is missing; restore it, or remove the folder")
    try:
        text = files[name].decode()
        same = parse_draft(text, language_named(draft.language), draft.provenance).hash
    except (OutpaceError, UnicodeDecodeError):
        same = None
    if same != draft.hash:
        raise CodecError(
            f"{path / name} is not the draft that was judged, so the reference is served; restore "
            "it, or put the edit to the test with `outpace judge`"
        )


# --- Writing ------------------------------------------------------------------------------------


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_in_place(staged: Path, final: Path) -> None:
    """Give `staged` the name `final`; what had it before is afterwards called `staged`."""
    for _ in range(_ATTEMPTS):
        try:
            staged.rename(final)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        else:
            return
        try:
            _exchange(staged, final)
        except FileNotFoundError:  # removed since; the plain rename will do
            continue
        return
    raise OSError(errno.EBUSY, "another process replaces it over and over")


def _exchange(first: Path, second: Path) -> None:
    """Swap two folders in one step where the file system can, else in three.

    NFS cannot. There a reader may for an instant find no promotion and run the reference.
    """
    import ctypes  # noqa: PLC0415  (needed for this alone)

    at_fdcwd, rename_exchange = -100, 2  # linux/fcntl.h, linux/fs.h
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(first), os.fsencode(second)
    if libc.renameat2(at_fdcwd, names[0], at_fdcwd, names[1], rename_exchange) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        raise OSError(code, os.strerror(code), str(second))
    aside = first.with_name(f".old-{secrets.token_hex(8)}")
    second.rename(aside)
    try:
        first.rename(second)
    except OSError:
        aside.rename(second)
        raise
    aside.rename(first)
