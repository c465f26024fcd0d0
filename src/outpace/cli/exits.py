"""What the program returns to the shell."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from outpace.model import Status


class ExitCode(IntEnum):
    """Exit codes; scripts and CI rely on them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INCONCLUSIVE = 3
    ENVIRONMENT = 4
    BUG = 70
    """An unexpected exception, as `EX_SOFTWARE` of sysexits.h."""
    INTERRUPTED = 130
    """Ctrl-C, as shells report it."""


def of_verdict(verdict: Status | None) -> ExitCode:
    """Of `judge`: only `faster` is a success; what was only checked in simulation is undecided."""
    if verdict is Status.FASTER:
        return ExitCode.OK
    undecided = verdict in (Status.INCONCLUSIVE, Status.CHECKED)
    return ExitCode.INCONCLUSIVE if undecided else ExitCode.FAILED


def of_campaign(*, promoted: bool, statuses: Iterable[Status]) -> ExitCode:
    """Of `tune`: finding nothing faster is a success, leaving a finalist undecided is not."""
    undecided = not promoted and Status.INCONCLUSIVE in statuses
    return ExitCode.INCONCLUSIVE if undecided else ExitCode.OK


def of_checks(statuses: Iterable[Status]) -> ExitCode:
    """Of `check`: every promotion must still be right and faster."""
    codes = {of_verdict(status) for status in statuses}
    if ExitCode.FAILED in codes:
        return ExitCode.FAILED
    return ExitCode.INCONCLUSIVE if ExitCode.INCONCLUSIVE in codes else ExitCode.OK
