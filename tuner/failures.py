"""What a process reports of its own error, as a status and a sentence."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

from outpace.model import Status


def classify(error: Mapping[str, Any]) -> tuple[Status, str, str]:
    """Status, reason and details of an error that the process reports of itself."""
    kind, text = str(error.get("kind", "")), str(error.get("text", ""))
    details = str(error.get("where", ""))
    first = next((line for line in text.splitlines() if _says_something(line)), kind)
    if kind in ("BuildError", "SyntaxError", "IndentationError", "TypingError", "LoweringError"):
        return Status.BUILD_FAILED, f"does not compile: {first}", text or details
    if kind in ("InvalidDraft", "DraftError"):
        return Status.INVALID, first, details
    if kind == "MemoryError":
        return Status.OVER_LIMIT, f"asked for more memory than it may have: {first}", details
    if kind == "PermissionError" or error.get("errno") == errno.EROFS:
        return Status.BLOCKED, f"tried what the sandbox denies: {first}", details
    return Status.CRASHED, f"{kind}: {first}", details


def _says_something(line: str) -> bool:
    """Whether a line is more than blank or the heading of Numba's messages."""
    return bool(line.strip()) and not line.startswith("Failed in nopython mode pipeline")
