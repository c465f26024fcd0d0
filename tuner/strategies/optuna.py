"""Optuna's sampler (TPE) behind our interface, for comparison; needs the extra `search`.

Optuna knows no constraints and repeats itself: what it suggests in vain is told to it as failed,
and after a while a random point is taken instead.
"""

from __future__ import annotations

from typing import Any

from outpace.errors import EnvironmentError_
from outpace.tuner.space import Point, SearchSpace
from outpace.tuner.strategies.base import Measured, Outcome
from outpace.tuner.strategies.sampling import RandomSearch

try:
    import optuna
except ImportError as missing:
    raise EnvironmentError_("Optuna is not installed: pip install 'outpace[search]'") from missing

IN_VAIN = 20
"""Suggestions without a new valid point before a random one is taken."""


class OptunaSearch:
    """The tree-structured Parzen estimator over the indices of the parameters' values."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        self._distributions = {
            p.name: optuna.distributions.IntDistribution(0, len(p.values) - 1)
            for p in space.parameters
        }
        self._trials: dict[Point, Any] = {}
        self._others = RandomSearch(space, seed)

    def ask(self, count: int) -> list[Point]:
        """Up to `count` points; fewer when the space is used up."""
        asked: list[Point] = []
        while len(asked) < count and (point := self._suggested() or self._drawn()) is not None:
            asked.append(point)
        return asked

    def tell(self, point: Point, outcome: Outcome) -> None:
        """What came of a point."""
        self._others.tell(point, outcome)
        if point not in self._trials:
            self._trials[point] = None
        value = outcome.seconds if isinstance(outcome, Measured) else None
        state = optuna.trial.TrialState.FAIL if value is None else None
        if self._trials[point] is not None:
            self._study.tell(self._trials[point], value, state=state)
        elif value is not None:
            params = {p.name: i for p, i in zip(self._space.parameters, point, strict=True)}
            self._study.add_trial(
                optuna.trial.create_trial(
                    params=params, distributions=self._distributions, value=value
                )
            )

    def _suggested(self) -> Point | None:
        for _ in range(IN_VAIN):
            trial = self._study.ask(self._distributions)
            point = tuple(trial.params[p.name] for p in self._space.parameters)
            if point not in self._trials and self._space.is_valid(point):
                self._trials[point] = trial
                self._others.tell(point, Measured(0.0))  # not to be drawn as well
                return point
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return None

    def _drawn(self) -> Point | None:
        drawn = self._others.ask(1)
        self._trials.update(dict.fromkeys(drawn))
        return drawn[0] if drawn else None
