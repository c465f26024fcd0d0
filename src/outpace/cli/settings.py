"""Defaults from `[tool.outpace]` in the nearest pyproject.toml.

Every key is named as the option that it stands for, without the dashes before it.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outpace.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """What options that were not given default to; None where the tuner's own default holds.

    Attributes:
        drafter: Name of the drafter, or several with commas between.
        languages: Languages of its drafts; none for all that this machine has.
        budget: As `--budget` takes it.
        promoted: Folder of promotions, relative to the pyproject.toml.
        base_url: Of a model's server.
        model: Name of the model, used where the drafter asks one.
        rounds: Times it is asked.
        samples: Drafts asked for in each round.
        max_tokens_total: Tokens that a campaign may spend.
        max_cost: US dollars that it may spend.
        max_minutes: Minutes of drafting and evaluation.
        price: As `--price` takes it.
    """

    drafter: str = "builtin"
    languages: tuple[str, ...] = ()
    budget: str | None = None
    promoted: Path | None = None
    base_url: str | None = None
    model: str | None = None
    rounds: int | None = None
    samples: int | None = None
    max_tokens_total: int | None = None
    max_cost: float | None = None
    max_minutes: float | None = None
    price: str | None = None


def read_settings(folder: Path) -> Settings:
    """Settings that hold for a reference in this folder.

    Raises:
        UsageError: The table has an unknown key, a value of the wrong type or a secret, or the file
            is not TOML.
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
    tool = document.get("tool", {})
    table = tool.get("outpace", {}) if isinstance(tool, Mapping) else tool
    if not isinstance(table, Mapping):
        raise UsageError(f"`tool.outpace` in {file} must be a table")
    return table


def _settings(table: Mapping[str, Any], file: Path) -> Settings:
    _refuse_secrets(table, file)
    unknown = sorted(set(table) - set(_READERS))
    if unknown:
        raise UsageError(
            f"[tool.outpace] in {file} has unknown keys: {', '.join(unknown)}; "
            f"it may have {', '.join(_READERS)}"
        )
    read: dict[str, Any] = {}
    for key, value in table.items():
        wanted, reader = _READERS[key]
        found = reader(value)
        if found is None:
            raise UsageError(f"`{key}` in [tool.outpace] of {file} must be {wanted}, not {value!r}")
        read[_FIELDS.get(key, key.replace("-", "_"))] = found
    if "promoted" in read:
        read["promoted"] = file.parent / read["promoted"]
    return Settings(**read)


# --- Secrets ------------------------------------------------------------------------------------

_SECRETS = {"key", "apikey", "token", "secret", "password"}


def _refuse_secrets(table: Mapping[str, Any], file: Path) -> None:
    """A key in a file that is committed is a key that is known; its value is not repeated here."""
    for name in table:
        words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower())
        if _SECRETS & set(words):
            raise UsageError(
                f"`{name}` in [tool.outpace] of {file} looks like a secret, which no file should "
                "hold; remove it there and set the environment variable OPENAI_API_KEY instead"
            )


# --- Values: each reader gives None for a value of the wrong kind ---------------------------------


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _names(value: Any) -> tuple[str, ...] | None:
    listed = value if isinstance(value, list) else [value]
    return tuple(listed) if listed and all(_text(name) for name in listed) else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


def _amount(value: Any) -> float | None:
    is_number = type(value) in (int, float)
    return float(value) if is_number and 0 < value < math.inf else None


def _budget(value: Any) -> str | None:
    """A bare number means minutes, as on the command line."""
    return str(value) if type(value) in (int, float) else _text(value)


def _price(value: Any) -> str | None:
    """Two amounts with a comma between; 0 where tokens are free."""
    parts = value.split(",") if isinstance(value, str) else []
    is_amount = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*").fullmatch
    return value if len(parts) == 2 and all(map(is_amount, parts)) else None


_READERS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "drafter": ("a string", _text),
    "language": ("a name or a list of names", _names),
    "budget": ('a number of minutes, or a string such as "5m" or "12d"', _budget),
    "promoted": ("a string", _text),
    "base-url": ("a string", _text),
    "model": ("a string", _text),
    "rounds": ("a whole number above 0", _count),
    "samples": ("a whole number above 0", _count),
    "max-tokens-total": ("a whole number above 0", _count),
    "max-cost": ("a number of dollars above 0", _amount),
    "max-minutes": ("a number of minutes above 0", _amount),
    "price": ('a string such as "0.15,0.60"', _price),
}
"""What each key must be, and what reads it."""
_FIELDS = {"language": "languages"}
"""Keys whose attribute has another name."""
