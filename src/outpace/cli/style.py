"""How numbers, statuses and paths look."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from rich.text import Text

from outpace.model import Promotion, Speedup, Status

_COLOURS = {
    Status.FASTER: "bold green",
    Status.CHECKED: "green",
    Status.NOT_FASTER: "yellow",
    Status.INCONCLUSIVE: "yellow",
    Status.SUSPECT: "magenta",
    Status.BLOCKED: "magenta",
}


def ratio(value: float) -> str:
    """A speedup with three digits, for example `12.3x`."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}x"


def interval(value: Speedup) -> str:
    """A speedup with its interval, for example `12.3x [11.9x, 12.8x]`."""
    return f"{ratio(value.median)} [{ratio(value.low)}, {ratio(value.high)}]"


def status(value: Status) -> Text:
    """A status in its colour; failures are red."""
    return Text(value.value, style=_COLOURS.get(value, "red"))


def path(value: Path) -> str:
    """A path as the user would type it here."""
    try:
        return str(value.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(value)


def age(created: str, now: datetime | None = None) -> str:
    """How long ago an ISO 8601 time was, for example `3 d`; empty when it is not one."""
    try:
        then = datetime.fromisoformat(created)
    except ValueError:
        return ""
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    minutes = max(0, int(((now or datetime.now(UTC)) - then).total_seconds() // 60))
    for unit, size in (("d", 24 * 60), ("h", 60)):
        if minutes >= size:
            return f"{minutes // size} {unit}"
    return f"{minutes} min"


def named(promotion: Promotion) -> str:
    """What is promoted, and on how many MPI ranks it runs."""
    ranks = promotion.key.ranks
    if promotion.variant.draft.language != "mpi":
        return promotion.variant.label
    return f"{promotion.variant.label} on {plural(ranks, 'rank')}"


def plural(count: int, noun: str) -> str:
    """`1 variant`, `2 variants`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
