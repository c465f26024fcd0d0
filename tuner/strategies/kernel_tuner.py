"""Kernel Tuner's strategies behind our interface, for comparison; needs the extra `search`.

They call a function for every point. Here that function waits, in a thread of its own, until the
point has been asked for and told; only one of the two threads is ever running.
"""

from __future__ import annotations

import random
import weakref
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

from outpace.errors import EnvironmentError_, UsageError
from outpace.tuner.space import Point, SearchSpace
from outpace.tuner.strategies.base import Measured, Outcome
from outpace.tuner.strategies.sampling import RandomSearch

try:
    from kernel_tuner import util
    from kernel_tuner.interface import Options, strategy_map
    from kernel_tuner.searchspace import Searchspace
except ImportError as missing:
    raise EnvironmentError_(
        "the strategies of Kernel Tuner need it: pip install 'outpace[search]'"
    ) from missing

EVALUATIONS = 200
"""What a strategy is told of its budget; one that ends is begun again with what it knows."""
FRUITLESS = 20
"""Beginnings without a new point after which a space counts as used up."""
Answers = dict[Point, Outcome]


class KernelTunerSearch:
    """One of Kernel Tuner's strategies.

    Points asked for while it waits for an answer are random ones: most of these strategies try
    one point at a time.

    Args:
        name: As Kernel Tuner calls it, for example `simulated_annealing`.
        space: Must be enumerated.
        seed: Of Python's and NumPy's global generators, which these strategies use.

    Raises:
        UsageError: There is no such strategy, or the space is too large to be enumerated.
    """

    def __init__(self, name: str, space: SearchSpace, seed: int) -> None:
        if name not in strategy_map:
            raise UsageError(f"Kernel Tuner has no strategy {name!r}: {', '.join(strategy_map)}")
        if space.points is None:
            raise UsageError("the space is too large to be enumerated; choose another strategy")
        self._others = RandomSearch(space, seed)
        self._answers: Answers = {}
        self._asked: set[Point] = set()
        self._wanted: list[Point] = []
        self._inbox: SimpleQueue[list[Point] | None] = SimpleQueue()
        self._outbox: SimpleQueue[Answers | None] = SimpleQueue()
        runner = _Runner(space, self._inbox, self._outbox)
        self._thread = Thread(target=_run, args=(name, space, seed, runner), daemon=True)
        self._is_over = False
        weakref.finalize(self, self._outbox.put, None)

    def ask(self, count: int) -> list[Point]:
        """Up to `count` points; fewer when the space is used up."""
        asked: list[Point] = []
        while len(asked) < count and (point := self._next()) is not None:
            self._asked.add(point)
            asked.append(point)
        return asked

    def tell(self, point: Point, outcome: Outcome) -> None:
        """What came of a point."""
        self._answers.setdefault(point, outcome)
        self._others.tell(point, outcome)

    def _next(self) -> Point | None:
        self._advance()
        waiting = [p for p in self._wanted if p not in self._asked and p not in self._answers]
        if waiting:
            self._others.tell(waiting[0], Measured(0.0))  # not to be drawn as well
            return waiting[0]
        drawn = self._others.ask(1)
        return drawn[0] if drawn else None

    def _advance(self) -> None:
        """Let the strategy go on as soon as all that it waits for is known."""
        while not self._is_over and all(point in self._answers for point in self._wanted):
            before = random.getstate(), np.random.get_state()  # noqa: NPY002  (what they use)
            if self._thread.ident is None:
                self._thread.start()
            else:
                self._outbox.put(self._answers)
            wanted = self._inbox.get()
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
            self._is_over = wanted is None
            self._wanted = wanted or []


class _Abandoned(Exception):  # noqa: N818  (a signal, no fault)
    """Nobody asks this strategy any more."""


class _Runner:
    """What a strategy believes to run its points."""

    simulation_mode = True

    def __init__(
        self,
        space: SearchSpace,
        inbox: SimpleQueue[list[Point] | None],
        outbox: SimpleQueue[Answers | None],
    ) -> None:
        self.inbox, self._outbox = inbox, outbox
        self._names = [parameter.name for parameter in space.parameters]
        self._point_of = space.point_of
        self.known: Answers = {}
        self._state: Any = None

    def add_strategy_time(self, seconds: float) -> None:
        """Kernel Tuner's bookkeeping."""

    def available_parallelism(self) -> int:
        """How many points are run at once."""
        return 1

    def run(self, parameter_space: list[Any], tuning_options: Any) -> list[dict[str, Any] | None]:
        """Results of some configurations, None once the budget is spent."""
        params = [dict(zip(self._names, values, strict=True)) for values in parameter_space]
        points = [self._point_of(values) for values in params]
        unknown = list(dict.fromkeys(p for p in points if p not in self.known))
        left = tuning_options.budget.get_evaluations_remaining()
        if unknown[:left]:
            self._wait(unknown[:left])
        tuning_options.budget.add_evaluations(len(unknown))
        return [
            self._result(values, self.known[point]) if point in self.known else None
            for values, point in zip(params, points, strict=True)
        ]

    def _wait(self, points: list[Point]) -> None:
        state = random.getstate(), np.random.get_state()  # noqa: NPY002
        self.inbox.put(points)
        answers = self._outbox.get()
        if answers is None:
            raise _Abandoned
        random.setstate(state[0])
        np.random.set_state(state[1])  # noqa: NPY002
        self.known.update({point: answers[point] for point in points})

    @staticmethod
    def _result(params: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
        times = {"compile_time": 0.0, "verification_time": 0.0, "benchmark_time": 0.0}
        if isinstance(outcome, Measured):
            return {**params, **times, "time": outcome.seconds}
        return {**params, **times, "time": "failed", "__error__": util.RuntimeFailedConfig()}


def _run(name: str, space: SearchSpace, seed: int, runner: _Runner) -> None:
    """Run the strategy again and again until it finds nothing new."""
    values = {p.name: list(p.values) for p in space.parameters}
    assert space.points is not None
    bound = (space.bind(tuple(point)) for point in space.points.tolist())
    cache = {"tune_params": values, "cache": dict(enumerate(bound))}
    searchspace = Searchspace(None, None, None, from_cache=cache)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    fruitless = 0
    try:
        while fruitless < FRUITLESS:
            known = len(runner.known)
            options = _options(values, seed)
            with suppress(util.StopCriterionReached):
                strategy_map[name].tune(searchspace, runner, options)
            fruitless = 0 if len(runner.known) > known else fruitless + 1
        runner.inbox.put(None)
    except _Abandoned:
        return


def _options(values: dict[str, Any], seed: int) -> Any:
    return Options(
        tune_params=values,
        strategy_options=Options(max_fevals=EVALUATIONS),
        max_fevals=EVALUATIONS,
        objective=["time"],
        objective_higher_is_better=[False],
        verbose=False,
        restrictions=None,
        metrics=None,
        cache={},
        seed=seed,
        budget=util.TuningBudget(None, EVALUATIONS),
    )
