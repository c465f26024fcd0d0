"""How variants are chosen: strategies that are asked for points and told what came of them.

    search = make_strategy(DEFAULT, space, seed, warm)
    while points := search.ask(workers):
        for point in points:
            search.tell(point, Measured(seconds))

A strategy never asks for an invalid point, nor for one twice. Several points may be asked for
before any is told; they may be told in any order. How each strategy chooses is said in
`outpace.tuner.strategies`, one file each.
"""

from __future__ import annotations

from collections.abc import Sequence

from outpace.errors import UsageError
from outpace.tuner.space import SearchSpace
from outpace.tuner.strategies.base import Failed, Measured, Outcome, Record, Strategy
from outpace.tuner.strategies.exhaustive import ExhaustiveSearch
from outpace.tuner.strategies.sampling import RandomSearch
from outpace.tuner.strategies.surrogate import SurrogateSearch

__all__ = [
    "ADAPTERS",
    "DEFAULT",
    "STRATEGIES",
    "Failed",
    "Measured",
    "Outcome",
    "Record",
    "Strategy",
    "make_strategy",
    "refuse_unknown",
]

DEFAULT = "surrogate"
STRATEGIES = ("surrogate", "random", "exhaustive")
ADAPTERS = ("kernel_tuner:NAME", "optuna")
"""Strategies of other tuners, for comparison; they need the extra `search`."""


def make_strategy(name: str, space: SearchSpace, seed: int, warm: Sequence[Record]) -> Strategy:
    """A strategy by name.

    Args:
        name: One of `STRATEGIES` or `ADAPTERS`.
        space: Where to search.
        seed: Of all its draws.
        warm: What is known from the same draft on other targets or at other sizes, or from
            sibling drafts; `surrogate` alone makes use of it.

    Raises:
        UsageError: There is no such strategy, or it cannot search this space.
        EnvironmentError_: It needs a package that is not installed.
    """
    if name == "surrogate":
        return SurrogateSearch(space, seed, warm)
    if name == "random":
        return RandomSearch(space, seed)
    if name == "exhaustive":
        return ExhaustiveSearch(space)
    if name == "optuna":
        from outpace.tuner.strategies.optuna import OptunaSearch  # noqa: PLC0415  (an extra)

        return OptunaSearch(space, seed)
    kind, _, inner = name.partition(":")
    if kind == "kernel_tuner" and inner:
        from outpace.tuner.strategies.kernel_tuner import (  # noqa: PLC0415  (an extra)
            KernelTunerSearch,
        )

        return KernelTunerSearch(inner, space, seed)
    raise _unknown(name)


def refuse_unknown(name: str) -> None:
    """Raise UsageError unless there is a strategy of this name; a space may still not suit it."""
    kind, _, inner = name.partition(":")
    if name not in (*STRATEGIES, "optuna") and not (kind == "kernel_tuner" and inner):
        raise _unknown(name)


def _unknown(name: str) -> UsageError:
    return UsageError(f"no strategy {name!r}; there are {', '.join((*STRATEGIES, *ADAPTERS))}")
