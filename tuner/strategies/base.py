"""What every strategy is told and must do; `outpace.tuner.search` hands these names out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from outpace.model import Scalar, Status
from outpace.tuner.space import Point


@dataclass(frozen=True)
class Measured:
    """A point was timed; seconds, or a time relative to anything fixed."""

    seconds: float


@dataclass(frozen=True)
class Failed:
    """A point could not be timed."""

    status: Status


Outcome = Measured | Failed


@dataclass(frozen=True)
class Record:
    """What a point of a like space took elsewhere; None where it failed.

    Attributes:
        params: Values by name.
        seconds: On any scale, which may differ between sources.
        source: Records of one source were measured alike and are ranked among themselves: one
            target, problem size and draft.
    """

    params: dict[str, Scalar]
    seconds: float | None
    source: str = ""


class Strategy(Protocol):
    """Chooses points. Never asks for an invalid point, nor for one twice, nor for one it was told.

    Equal seeds and equal answers give equal questions. A fresh strategy that is told what an
    earlier one was, in the same order, goes on as that one would have.
    """

    def ask(self, count: int) -> list[Point]:
        """Up to `count` points to try at once; fewer when the space is used up."""

    def tell(self, point: Point, outcome: Outcome) -> None:
        """What came of a point, asked for or not, in any order."""
