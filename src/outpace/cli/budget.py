"""Reading `--budget`."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from outpace.errors import UsageError

if TYPE_CHECKING:
    from outpace.tuner.api import Budget

_AMOUNT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)")
_MINUTES = {
    "": 1.0,
    "m": 1.0,
    "min": 1.0,
    "minute": 1.0,
    "minutes": 1.0,
    "s": 1 / 60,
    "h": 60.0,
}
_DRAFTS = ("d", "draft", "drafts")


def parse_budget(text: str) -> Budget:
    """A budget in minutes (`5`, `5m`, `90s`, `1h`) or in drafts (`12 drafts`, `12d`).

    Raises:
        UsageError: It is neither, or is not positive.
    """
    from outpace.tuner.api import Budget  # noqa: PLC0415  (loads the tuner)

    match = _AMOUNT.fullmatch(text.strip().lower())
    amount, unit = (float(match[1]), match[2]) if match else (0.0, "")
    if 0 < amount < math.inf:
        if unit in _MINUTES:
            return Budget(minutes=amount * _MINUTES[unit])
        if unit in _DRAFTS and amount.is_integer():
            return Budget(drafts=int(amount))
    raise UsageError(
        f"the budget {text!r} is not understood; write minutes (5, 5m, 90s) or drafts (12d)"
    )


def within_minutes(budget: Budget, minutes: float | None) -> Budget:
    """A budget that is spent after so many minutes at the latest.

    Raises:
        UsageError: They are not positive.
    """
    if minutes is None:
        return budget
    if not 0 < minutes < math.inf:
        raise UsageError(f"--max-minutes must be positive, not {minutes:g}")
    limits = [minutes, *([budget.minutes] if budget.minutes is not None else [])]
    return replace(budget, minutes=min(limits))
