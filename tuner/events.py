"""What a tune tells whoever watches it: the live table, a log, a notebook, or nobody."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

from outpace.model import Trial


@dataclass(frozen=True)
class Message:
    """A sentence for the person; `level` is `info` or `warning`."""

    text: str
    level: str = "info"


@dataclass(frozen=True)
class Planned:
    """A variant joined the campaign; `variant` is its hash."""

    label: str
    variant: str
    language: str


@dataclass(frozen=True)
class Moved:
    """A variant entered a stage: waiting, building, checking, screening or confirming."""

    variant: str
    stage: str
    detail: str = ""


@dataclass(frozen=True)
class Timed:
    """A screening result: baseline time over variant time."""

    variant: str
    workload: str
    ratio: float


@dataclass(frozen=True)
class Ended:
    """A trial of a variant ended."""

    variant: str
    trial: Trial


@dataclass(frozen=True)
class Progress:
    """How far a long step is, for example process pairs of a confirmation."""

    done: int
    total: int
    what: str


Event = Message | Planned | Moved | Timed | Ended | Progress


class Observer(Protocol):
    """Receives events in order, from one thread at a time."""

    def notice(self, event: Event) -> None:
        """Take notice of an event; must not raise."""


class OneAtATime:
    """Passes events on from any thread, one after another."""

    def __init__(self, observer: Observer) -> None:
        """Wrap an observer."""
        self._observer = observer
        self._lock = threading.Lock()

    def notice(self, event: Event) -> None:
        """See `Observer`."""
        with self._lock:
            self._observer.notice(event)


class Quiet:
    """Ignores every event."""

    def notice(self, event: Event) -> None:
        """See `Observer`."""


QUIET = Quiet()
