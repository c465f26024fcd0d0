"""The one module that reads the process environment.

Variables:
    OUTPACE_DISABLE: Any value but empty or `0` makes every decorated function run its reference.
    OUTPACE_PROMOTED: Folder that holds promotions instead of the one beside each module.
    OUTPACE_READABLE: Folders, with colons between, that drafts' processes may read besides those of
        Python, its packages and the system: for libraries that are installed elsewhere.
    OPENAI_API_KEY: The key that a model's server asks for; it is written nowhere, and no draft's
        process gets it.
    OPENAI_BASE_URL: Address of that server where none is given.
    CC: The C compiler, with arguments if need be, instead of the first on PATH.
    XDG_*: As the XDG base directory specification says, through platformdirs.
"""

from __future__ import annotations

import os
from pathlib import Path

RUN_MARK = "OUTPACE_RUN"
"""Variable that names the run to which a process belongs."""


def disabled() -> bool:
    """Whether promotions are switched off for this process."""
    return os.environ.get("OUTPACE_DISABLE", "") not in ("", "0")


def promoted_override() -> Path | None:
    """Folder given by OUTPACE_PROMOTED, or None."""
    value = os.environ.get("OUTPACE_PROMOTED", "")
    return Path(value) if value else None


def readable_folders() -> tuple[Path, ...]:
    """Folders given by OUTPACE_READABLE; entries that are not absolute are left out."""
    entries = [Path(entry) for entry in os.environ.get("OUTPACE_READABLE", "").split(":")]
    return tuple(entry for entry in entries if entry.is_absolute())


def state_dir() -> Path:
    """Where journals live; not created here."""
    import platformdirs  # noqa: PLC0415  (costs 5 ms that `import outpace` must not pay)

    return Path(platformdirs.user_state_dir("outpace"))


def cache_dir() -> Path:
    """Where builds live; not created here."""
    import platformdirs  # noqa: PLC0415

    return Path(platformdirs.user_cache_dir("outpace"))


def data_dir() -> Path:
    """Where promotions live for modules whose own folder cannot be written."""
    import platformdirs  # noqa: PLC0415

    return Path(platformdirs.user_data_dir("outpace"))


def in_ci() -> bool:
    """Whether a CI service runs this process."""
    return os.environ.get("CI", "") not in ("", "0", "false")


def c_compiler() -> str:
    """Command of the C compiler given by CC, empty where it gives none."""
    return os.environ.get("CC", "").strip()


def model_key() -> str | None:
    """The key for a model's server, or None."""
    return os.environ.get("OPENAI_API_KEY", "").strip() or None


def model_url() -> str | None:
    """Address of a model's server given by OPENAI_BASE_URL, or None."""
    return os.environ.get("OPENAI_BASE_URL", "").strip() or None


def forget_run_mark() -> str:
    """Take the mark out of this process's variables; it as it stood there, `NAME=value`."""
    return f"{RUN_MARK}={os.environ.pop(RUN_MARK, '')}"


def worker_environment(**extra: str) -> dict[str, str]:
    """The scrubbed environment of a draft's process: nothing but what compilers need.

    The mark of a run, by which its processes are found, is handed on to what it starts.
    """
    wanted = ("PATH", "CC", "LANG", "LC_ALL", "TZ", RUN_MARK)
    return {**{k: v for k, v in os.environ.items() if k in wanted}, **extra}
