"""Promotions on disk.

A promotion is a folder `<module dir>/promoted/<qualname>/<key hash>/` with two files that people
review and commit: the draft (`draft.py`, or the suffix of its language) and `promotion.json`.
Readers see a promotion whole or not at all, also while it is replaced and after a crash.

    written to      the folder given (`--promoted`, OUTPACE_PROMOTED), else beside the module, else,
                    where that cannot be written or is an installed package, the user's data folder
    looked for in   the folder given, else beside the module and in the user's data folder
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from outpace import codec, environment
from outpace.codegen.reference import Reference
from outpace.errors import CodecError, NewerSchemaError, OutpaceError, StorageError, UsageError
from outpace.kernels.durable import make_folder, sync_folder
from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import parse_draft, render_draft
from outpace.model import Promotion, PromotionKey, Residence, Target, Workload

RECORD = "promotion.json"
WHOLE, BLOCKS, ON_GPU = "C", "C blocks", "C on a GPU"
"""Layouts of arrays: whole ones, the own blocks of ranks, and whole ones in a GPU's memory."""
_DRAFT_STEM = "draft"
_KEY_FOLDER = re.compile(r"[0-9a-f]{16}")
_PASSED_OVER = {"__pycache__", "node_modules", "site-packages"}
_STAGED, _REPLACED = ".new-", ".old-"
"""How folders begin that are about to be a promotion, or no longer are one."""
_ABANDONED_AFTER = 24 * 3600.0
"""Seconds after which such a folder is taken for what a killed process left."""
_ATTEMPTS = 64
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
    reference: Reference,
    target: Target,
    workloads: Sequence[Workload] = (),
    ranks: int | None = None,
) -> PromotionKey:
    """The key of a promotion that was confirmed on these workloads.

    Args:
        reference: What is promoted for.
        target: Where.
        workloads: The confirmed problem sizes.
        ranks: Number of MPI ranks of a program that works on blocks of arrays; None for a kernel
            that takes them whole, which is another thing than a program on one rank.

    Raises:
        ContractError: The annotations are wrong, or the source is not available.
    """
    contract = reference.contract
    inputs, outputs = (a.dtype for a in contract.arguments), (o.dtype for o in contract.outputs)
    sizes = sorted((w.sizes for w in workloads), key=lambda sizes: sorted(sizes.items()))
    return PromotionKey(
        source_hash=reference.source_hash,
        dtypes=(*inputs, *outputs),
        layout=_layout(reference, ranks),
        target=target.key,
        ranks=ranks or 1,
        sizes=tuple(sizes),
    )


def _layout(reference: Reference, ranks: int | None) -> str:
    if reference.residence is Residence.DEVICE:
        return ON_GPU
    return WHOLE if ranks is None else BLOCKS


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
    found: list[StoredPromotion] = []
    ignored: list[str] = []
    for folder in folders_of(reference, override):
        try:
            names = os.listdir(folder)  # noqa: PTH208  (fails here, not at the first name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            ignored.append(_unreadable(folder, error))
            continue
        for path in sorted(folder / name for name in names if _KEY_FOLDER.fullmatch(name)):
            try:
                found.append(read(path))
            except FileNotFoundError:
                continue  # it was removed while we looked
            except OutpaceError as error:
                ignored.append(str(error))
            except OSError as error:
                ignored.append(_unreadable(path, error))
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
        CodecError: A file is missing or damaged, or the draft was edited since judged.
        NewerSchemaError: A newer outpace wrote it.
        UsageError: It is in a language that this version does not have.
        FileNotFoundError: There is no such folder.
        OSError: A file cannot be read.
    """
    files = _snapshot(path)
    if RECORD not in files:
        raise CodecError(f"{path} holds no {RECORD}; restore it, or remove the folder")
    try:
        promotion = _decoded(files[RECORD])
    except NewerSchemaError as error:
        raise NewerSchemaError(f"{path / RECORD}: {error}; update outpace") from error
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
        StorageError: It could not be written, and an earlier one is intact; or it is in place and
            could not be synced; or a newer outpace made the earlier one, which stays.
    """
    folder = folder_for(reference, override)
    final = folder / promotion.key.hash
    _refuse_newer(final)
    staged = folder / f"{_STAGED}{secrets.token_hex(8)}"
    with contextlib.ExitStack() as leaving:
        # In the end this is half-written, or the one that was replaced.
        leaving.callback(_discard, staged)
        try:
            make_folder(folder)
            staged.mkdir()
            _discard_abandoned(staged)
            _fill(staged, promotion)
            _put_in_place(staged, final)
        except OSError as error:
            raise StorageError(
                f"the promotion cannot be written to {final}: {error.strerror or error}; nothing "
                "that was there is lost; make room, or give another folder with --promoted"
            ) from error
        try:
            sync_folder(folder)
        except OSError as error:
            raise StorageError(
                f"the promotion is in {final}, but could not be synced: {error.strerror or error}; "
                "a power failure may lose it; look after the disk, then run the same command again"
            ) from error
    return final


def remove(path: Path) -> None:
    """Remove a promotion; readers see it whole or not at all. One that is gone is no error.

    Raises:
        StorageError: It cannot be removed.
    """
    aside = path.with_name(f"{_REPLACED}{secrets.token_hex(8)}")
    try:
        path.rename(aside)
        sync_folder(path.parent)
        shutil.rmtree(aside)
    except FileNotFoundError:
        return  # another process was faster
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


# --- Reading ------------------------------------------------------------------------------------


def _draft_name(promotion: Promotion) -> str:
    return _DRAFT_STEM + language_named(promotion.variant.draft.language).suffix


def _snapshot(folder: Path) -> dict[str, bytes]:
    """The files of a promotion as they were together at one moment.

    They are opened through one descriptor of the folder, because a replacement swaps folders; it
    counts only if that folder was still in place afterwards. Raises FileNotFoundError where there
    is no folder.
    """
    for _ in range(_ATTEMPTS):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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
    with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder), "rb") as file:  # noqa: PTH123
        return file.read()


def _unreadable(path: Path, error: OSError) -> str:
    return f"{path} cannot be read: {error.strerror or error}; make it readable, or remove it"


class _Seal(msgspec.Struct):
    """What `promotion.json` holds besides a stored value."""

    digest: str


def _encoded(promotion: Promotion) -> bytes:
    """The content of `promotion.json`: the stored value with the hash of what reads back."""
    plain = codec.encode(promotion)
    digest = codec.content_hash(codec.decode(plain, Promotion))
    return codec.pretty(b'{"digest":"%s",%s' % (digest.encode(), plain[1:]))


def _decoded(content: bytes) -> Promotion:
    """Inverse of `_encoded`, also if the JSON was laid out anew; raises CodecError."""
    promotion = codec.decode(content, Promotion)
    try:
        digest = msgspec.json.decode(content, type=_Seal).digest
    except (msgspec.MsgspecError, ValueError) as error:
        raise CodecError(f"not a stored Promotion: {error}") from error
    if digest != codec.content_hash(promotion):
        raise CodecError("it was changed since it was written, as its digest shows")
    return promotion


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
    # They become source, so that a name such as "x = 1; import os; y" would run.
    declared, bound = {p.name: p.values for p in draft.parameters}, promotion.variant.params
    if declared.keys() != bound.keys() or any(bound[n] not in declared[n] for n in declared):
        raise CodecError(
            f"{path / RECORD} binds parameters that {name} does not declare; restore it, or remove "
            "the folder and tune again"
        )


# --- Writing ------------------------------------------------------------------------------------


def _refuse_newer(final: Path) -> None:
    """Raise StorageError if what is there is whole, but beyond this version."""
    try:
        read(final)
    except (NewerSchemaError, UsageError) as error:
        raise StorageError(
            f"the promotion at {final} was made by a newer outpace and is not replaced ({error}); "
            "give another folder with --promoted, or remove it"
        ) from error
    except (CodecError, OSError):
        return  # there is none, or a damaged one


def _discard_abandoned(staged: Path) -> None:
    """Remove what killed processes left beside a folder that was made just now.

    Ages are by the clock of the file system, which need not be that of this machine, and count
    from the last renaming (ctime): what is put aside may have been written long ago.
    """
    now = staged.stat().st_ctime
    for path in staged.parent.iterdir():
        if path.name.startswith((_STAGED, _REPLACED)):
            with contextlib.suppress(FileNotFoundError):
                if now - path.stat().st_ctime > _ABANDONED_AFTER:
                    _discard(path)


def _discard(folder: Path) -> None:
    """Remove a folder that no reader looks at, as far as that can be done."""
    with contextlib.suppress(OSError):  # rmtree raises despite `ignore_errors` if `close` fails
        shutil.rmtree(folder, ignore_errors=True)


def _fill(staged: Path, promotion: Promotion) -> None:
    """Write the files of a promotion and wait until they are on disk; raises OSError."""
    draft = promotion.variant.draft
    text = render_draft(draft, language_named(draft.language))
    _write_durably(staged / _draft_name(promotion), text.encode())
    _write_durably(staged / RECORD, _encoded(promotion))
    sync_folder(staged)


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(staged: Path, final: Path) -> None:
    """Give `staged` the name `final`; what had it before is then called `staged`, or is removed.

    Where the file system cannot exchange two folders (NFS), a reader may for an instant find no
    promotion and run the reference.

    Raises:
        OSError: It cannot be done; `final` is as it was.
    """
    for _ in range(_ATTEMPTS):
        if _took_free_name(staged, final):
            return
        aside = staged.with_name(f"{_REPLACED}{secrets.token_hex(8)}")
        try:
            if _exchanged(staged, final):
                return
            final.rename(aside)
        except FileNotFoundError:  # removed since; the plain rename will do
            continue
        try:
            took = _took_free_name(staged, final)
        except OSError:
            _took_free_name(aside, final)
            raise
        _discard(aside)
        if took:
            return
    raise OSError(errno.EBUSY, "another process replaces it over and over")


def _took_free_name(folder: Path, name: Path) -> bool:
    """Rename a folder; False if the name is taken. Raises OSError."""
    try:
        folder.rename(name)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    return True


def _exchanged(first: Path, second: Path) -> bool:
    """Swap two folders in one step; False if the file system cannot. Raises OSError."""
    import ctypes  # noqa: PLC0415  (needed for this alone)

    at_fdcwd, rename_exchange = -100, 2  # linux/fcntl.h, linux/fs.h
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(first), os.fsencode(second)
    if libc.renameat2(at_fdcwd, names[0], at_fdcwd, names[1], rename_exchange) == 0:
        return True
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        raise OSError(code, os.strerror(code), str(second))
    return False
