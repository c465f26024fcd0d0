"""Under which licence a reference stands, as its own files say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from outpace.codegen.reference import Reference

_SPDX = re.compile(r"^\s*#\s*SPDX-License-Identifier:\s*(\S.*?)\s*$", re.MULTILINE)


def licence_of(reference: Reference) -> str | None:
    """The SPDX line of its file, else the licence in the nearest pyproject.toml, else None."""
    if reference.file is None:
        return None
    found = _SPDX.search(reference.file.read_text(encoding="utf-8", errors="replace"))
    return found[1] if found is not None else _of_project(reference.file.parent)


def _of_project(folder: Path) -> str | None:
    """`project.license`: an SPDX expression, or the older table with its text."""
    for parent in (folder, *folder.parents):
        file = parent / "pyproject.toml"
        if file.is_file():
            try:
                project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
            except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
                return None
            told = project.get("license") if isinstance(project, dict) else None
            text = told.get("text") if isinstance(told, dict) else told
            return text.strip() or None if isinstance(text, str) else None
    return None
