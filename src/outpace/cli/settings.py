"""Defaults from `[tool.outpace]` in the nearest pyproject.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outpace.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """What options that were not given default to.

    Attributes:
        drafter: Name of the drafter.
        languages: Languages of its drafts.
        budget: As `--budget` takes it, or None for the tuner's own.
        promoted: Folder of promotions, relative to the pyproject.toml, or None.
    """

    drafter: str = "builtin"
    languages: tuple[str, ...] = ("numba",)
    budget: str | None = None
    promoted: Path | None = None


def read_settings(folder: Path) -> Settings:
    """Settings that hold for a reference in this folder.

    Raises:
        UsageError: The table has an unknown key or a value of the wrong type, or the file is not
            TOML.
    """
    for parent in (folder, *folder.parents):
        file = parent / "pyproject.toml"
        if file.is_file():
            return _settings(_table(file), file)
    return Settings()


def _table(file: Path) -> Mapping[str, Any]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    table = document.get("tool", {}).get("outpace", {})
    if not isinstance(table, Mapping):
        raise UsageError(f"`tool.outpace` in {file} must be a table")
    return table


def _settings(table: Mapping[str, Any], file: Path) -> Settings:
    unknown = sorted(set(table) - {"drafter", "language", "budget", "promoted"})
    if unknown:
        raise UsageError(
            f"[tool.outpace] in {file} has unknown keys: {', '.join(unknown)}; "
            "it may have drafter, language, budget, promoted"
        )
    default = Settings()
    language = table.get("language", list(default.languages))
    promoted = table.get("promoted")
    budget = table.get("budget")
    languages = (language,) if isinstance(language, str) else tuple(_list(language, file))
    return Settings(
        drafter=_text(table.get("drafter", default.drafter), "drafter", file),
        languages=tuple(_text(name, "language", file) for name in languages),
        budget=None if budget is None else _budget(budget, file),
        promoted=None if promoted is None else file.parent / _text(promoted, "promoted", file),
    )


def _list(value: Any, file: Path) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise UsageError(
            f"`language` in [tool.outpace] of {file} must be a name or a list of names, "
            f"not {value!r}"
        )
    return value


def _text(value: Any, key: str, file: Path) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"`{key}` in [tool.outpace] of {file} must be a string, not {value!r}")
    return value


def _budget(value: Any, file: Path) -> str:
    """A bare number means minutes, as on the command line."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return _text(value, "budget", file)
