"""The reference of a campaign folder: its files go along, and it is found again elsewhere."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec.structs import replace

from outpace.codec import Value, content_hash
from outpace.codegen.reference import Reference, load_reference
from outpace.codegen.source import SourceClosure, tokens_of
from outpace.errors import UsageError

COPIES = "reference"
"""Within a campaign folder."""
_INSTALLED = ("site-packages", "dist-packages")


class Origin(Value, frozen=True):
    """Which reference drafts were made for, and where it is.

    Attributes:
        name: `module:qualname`, for people.
        qualname: Of the function.
        source_hash: Of its source with all that it captures.
        parts: Hash of each function, constant and import of that source, by name, so that it can
            be said what has changed.
        path: Its file, relative to the campaign folder; None where it is part of an installed
            package.
        copy: The copy of that file within the folder, likewise.
        module: Name of its module where it is part of an installed package, else None.
    """

    name: str
    qualname: str
    source_hash: str
    parts: dict[str, str]
    path: str | None = None
    copy: str | None = None
    module: str | None = None


def carry(reference: Reference, folder: Path) -> Origin:
    """Copy the files of a reference into a campaign folder.

    A part of an installed package is not copied: it is installed on the other machine too.

    Raises:
        UsageError: The function stands in no file.
        OSError: The files cannot be copied.
    """
    file, qualname = reference.file, reference.fn.__qualname__
    if file is None or reference.location is None:
        raise UsageError(f"{reference.name} stands in no file that could go along; put it in one")
    plain = Origin(reference.name, qualname, reference.source_hash, _parts(reference.closure))
    root, module = _root_and_module(file)
    if set(_INSTALLED) & set(file.parts) or module.partition(".")[0] == "outpace":
        return replace(plain, module=reference.fn.__module__)
    for found in _own_files(root, file):
        target = folder / COPIES / found.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(found.read_bytes())
    return replace(
        plain,
        path=os.path.relpath(file, folder.resolve()),
        copy=(Path(COPIES) / file.relative_to(root)).as_posix(),
    )


def reference_of(folder: Path, origin: Origin, given: str | None = None) -> Reference:
    """The reference of a campaign: the one given, else the user's own file, else the copy.

    Args:
        folder: The campaign folder.
        origin: What it says of the reference.
        given: `FILE.py:fn` or `package.module:fn`, or None.

    Raises:
        ReferenceError_: It cannot be loaded.
        UsageError: Its source is not the one for which the drafts were made.
    """
    own = Path(os.path.normpath(folder.resolve() / origin.path)) if origin.path else None
    copy = f"{inside(folder, origin.copy)}:{origin.qualname}" if origin.copy else None
    if given is not None:
        spec = given
    elif own is not None and own.is_file():
        spec = f"{own}:{origin.qualname}"
    elif copy is not None:
        spec = copy
    else:
        spec = f"{origin.module}:{origin.qualname}"
    loaded = load_reference(spec)
    is_other = copy is not None and spec != copy
    refuse_changed(loaded, origin, folder, f"outpace run {folder} {copy}" if is_other else None)
    return loaded


def refuse_changed(
    reference: Reference, origin: Origin, folder: Path, with_copy: str | None = None
) -> None:
    """Raise UsageError unless this is the source for which a campaign's drafts were made.

    `with_copy` is a command that would judge them with the copy in the folder, or None.
    """
    if reference.source_hash == origin.source_hash:
        return
    now = _parts(reference.closure)
    gone = sorted(set(origin.parts) - set(now))
    new = sorted(set(now) - set(origin.parts))
    differ = sorted(n for n in set(now) & set(origin.parts) if now[n] != origin.parts[n])
    told = [
        f"{what}: {', '.join(names)}"
        for what, names in (("changed", differ), ("new", new), ("gone", gone))
        if names
    ]
    copy = f", or judge them with their own copy: {with_copy}" if with_copy is not None else ""
    raise UsageError(
        f"the source of {reference.name} is not the one that the drafts in {folder} were made for "
        f"({'; '.join(told) or 'another name'}); restore it or draft into another folder{copy}"
    )


def inside(folder: Path, name: str) -> Path:
    """A file within a folder, by a name that came with the folder.

    Raises:
        UsageError: The name leads out of it.
    """
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise UsageError(f"{folder} names the file {name!r}, which lies outside; it was changed")
    return folder / path


def _parts(closure: SourceClosure) -> dict[str, str]:
    constants = (line.partition(" = ") for line in closure.constants_text().splitlines())
    texts: Mapping[str, str] = {
        **{name: text for name, _, text in constants},
        **closure.imports,
        **{name: tokens_of(text) for name, text in closure.functions.items()},
    }
    return {name: content_hash(text) for name, text in texts.items()}


# --- Which files --------------------------------------------------------------------------------


def _root_and_module(file: Path) -> tuple[Path, str]:
    """The folder from which a file is imported, and its module's name there."""
    root, parts = file.parent, [file.stem]
    while (root / "__init__.py").exists():
        parts.insert(0, root.name)
        root = root.parent
    return root, ".".join(parts)


def _own_files(root: Path, file: Path) -> list[Path]:
    """A file and what it imports from below its root, packages' `__init__.py` included."""
    found: dict[Path, None] = {}
    waiting = [file]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = None
        packages = (parent for parent in path.parents if root in parent.parents)
        candidates = [package / "__init__.py" for package in packages]
        for module in _imported(root, path):
            stem = root.joinpath(*module.split("."))
            candidates += [stem.with_name(f"{stem.name}.py"), stem / "__init__.py"]
        waiting += [candidate for candidate in candidates if candidate.is_file()]
    return list(found)


def _imported(root: Path, path: Path) -> Iterator[str]:
    """Modules that a file may import, by their absolute names; outpace itself is installed."""
    package = path.relative_to(root).parts[:-1]
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except SyntaxError:
        return  # whatever names it, no import of it has succeeded
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            within = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*within, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)]
        for name in names:
            top = name.partition(".")[0]
            if top and top != "outpace" and top not in sys.stdlib_module_names:
                yield name
