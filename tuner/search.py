"""How variants are chosen: strategies that are asked for points and told what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from outpace.errors import UsageError
from outpace.model import Scalar, Status
from outpace.tuner.space import Point, SearchSpace


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
    """What a point of a like space took elsewhere; None where it failed."""

    params: dict[str, Scalar]
    seconds: float | None
    source: str = ""


class Strategy(Protocol):
    """Chooses points. Never asks for an invalid point, nor for one twice, nor for one it was told.

    Equal seeds and equal answers give equal questions.
    """

    def ask(self, count: int) -> list[Point]:
        """Up to `count` points to try at once; fewer when the space is used up."""

    def tell(self, point: Point, outcome: Outcome) -> None:
        """What came of a point, asked for or not, in any order."""


DEFAULT = "random"
STRATEGIES = ("exhaustive", "random")


def make_strategy(name: str, space: SearchSpace, seed: int, warm: Sequence[Record]) -> Strategy:
    """A strategy by name; raises UsageError for an unknown one."""
    del warm
    if name not in STRATEGIES:
        raise UsageError(f"no strategy {name!r}; there are {', '.join(STRATEGIES)}")
    return _InOrder(_order(name, space, np.random.default_rng(seed)))


def _order(name: str, space: SearchSpace, rng: np.random.Generator) -> Iterator[Point]:
    if space.points is None:
        while True:
            yield tuple(space.sample(rng, 1)[0].tolist())
    rows = range(len(space.points)) if name == "exhaustive" else rng.permutation(len(space.points))
    for row in rows:
        yield tuple(space.points[row].tolist())


class _InOrder:
    def __init__(self, order: Iterator[Point]) -> None:
        self._order = order
        self._seen: set[Point] = set()

    def ask(self, count: int) -> list[Point]:
        asked: list[Point] = []
        while len(asked) < count and (point := next(self._order, None)) is not None:
            if point not in self._seen:
                self._seen.add(point)
                asked.append(point)
        return asked

    def tell(self, point: Point, outcome: Outcome) -> None:
        del outcome
        self._seen.add(point)
