"""Screening of variants that were right: a rough time at every workload, alone on the machine.

What is measured here only guides the search and chooses the finalists. Variants race: one that is
clearly slower than the best after a few calls is not timed further.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from outpace.codegen.reference import Reference
from outpace.errors import EnvironmentError_
from outpace.model import Counterexample, Mismatch, Status, Trial
from outpace.tuner.confirm import describe
from outpace.tuner.contenders import Runner
from outpace.tuner.evaluate import Evaluation, trial_of
from outpace.tuner.numerics.acceptance import compare
from outpace.tuner.plan import BATCH_BYTES, Plan
from outpace.tuner.process import Call, Failure, Worker, bytes_of

SCREEN_CALLS = 7
SCREEN_SECONDS = 2.0
SCREEN_BATCH = 64
PACED_SECONDS = 0.3
"""References slower than this are not run again for each variant."""
RACED_CALLS = 4
"""Timed calls, the two that warm up among them, after which a race may be lost."""
CLEARLY = 1.4
"""A variant whose fastest call was slower than the best variant's time by this factor has lost."""


def screen(
    reference: Reference,
    plans: Sequence[Plan],
    evaluation: Evaluation,
    pacer: Worker,
    best: Mapping[str, float],
) -> Trial | None:
    """Time an evaluated variant at every workload, verified; fills its `seconds` and `dropped`.

    Args:
        reference: What it is a variant of.
        plans: The workloads.
        evaluation: The variant.
        pacer: A process that runs the reference between the calls, so that times measured while
            the machine was busy compare with those measured while it was not.
        best: Seconds of the fastest variant so far by workload name, where there is one.

    Returns:
        A trial when the variant is wrong or fails at a workload, else None.

    Raises:
        EnvironmentError_: The process of the reference failed.
    """
    variant = evaluation.variant
    batches = [(_most_in_batch(reference, plan), plan.workload.sizes) for plan in plans]
    workload = ""
    try:
        with evaluation.contender.start(reference.contract, batches) as worker:
            for plan in plans:
                workload = plan.workload.name
                race = _Race(plan, pacer, best.get(workload))
                found = _screen_workload(reference, evaluation, worker, race)
                if found is not None and found.mismatch is not None:
                    return trial_of(
                        variant,
                        Status.WRONG,
                        f"wrong at workload {workload!r}: {describe(found.mismatch)}",
                        workload=workload,
                        stage="screen",
                        grade=evaluation.grade,
                        counterexample=found,
                    )
    except Failure as failure:
        return trial_of(
            variant,
            failure.status,
            failure.reason,
            workload=workload,
            stage="screen",
            grade=evaluation.grade,
            details=failure.details,
        )
    return None


@dataclass
class _Race:
    """The times of one variant at one workload.

    Attributes:
        plan: The workload.
        pacer: Runs the reference beside it.
        best: Seconds of the fastest variant so far, or None.
        times: Of the variant's calls, seconds; the first two warm up.
        paces: Of the reference's calls beside them.
    """

    plan: Plan
    pacer: Worker
    best: float | None
    times: list[float] = field(default_factory=list)
    paces: list[float] = field(default_factory=list)

    @property
    def is_lost(self) -> bool:
        """Whether the variant is clearly slower than the fastest so far."""
        if self.best is None or len(self.times) < RACED_CALLS:
            return False
        return self._seconds(min(self.times[2:])) > CLEARLY * self.best

    @property
    def seconds(self) -> float:
        """Time of one call on a machine as busy as it was when the reference was timed."""
        if self.is_lost:  # of so few calls the median may be one that was disturbed
            return self._seconds(min(self.times[2:]))
        return self._seconds(median(self.times[2:] or self.times[1:] or self.times))

    def _seconds(self, timed: float) -> float:
        paces = sorted(self.paces[1:])
        # A quarter of the way up: what disturbs single calls makes them slower, never faster.
        pace = paces[len(paces) // 4] / self.plan.reference_seconds if paces else 1.0
        return timed / pace + self.plan.allocation_seconds

    def pace(self, call: Call, limit: float) -> None:
        """Run the reference once, where that is quick."""
        if self.plan.reference_seconds >= PACED_SECONDS:
            return
        try:
            self.pacer.prepare([call])
            self.paces.append(self.pacer.run(limit))
        except Failure as failure:
            raise EnvironmentError_(
                f"the reference failed while variants were timed: {failure.reason}; run the same "
                "command again, it goes on from here"
            ) from failure


def _screen_workload(
    reference: Reference, evaluation: Evaluation, worker: Runner, race: _Race
) -> Counterexample | None:
    plan, times = race.plan, race.times
    limit = 10.0 + 20.0 * plan.reference_seconds
    rng = np.random.default_rng()
    batch, spent = 1, 0.0
    while len(times) < SCREEN_CALLS + 2 and spent < SCREEN_SECONDS:
        picked = rng.integers(len(plan.calls), size=batch)
        worker.prepare([plan.calls[which] for which in picked])
        seconds = worker.run(limit)
        # The first call may load what was compiled, which takes longer than many calls.
        spent += seconds if times or plan.reference_seconds > SCREEN_SECONDS else 0.0
        times.append(seconds / batch)
        for item, which in enumerate(picked):
            got = worker.results(item)
            mismatch = plan.compare(reference.contract, which, got)
            if mismatch is not None:
                return _counterexample(plan.calls[which], mismatch)
        if len(times) == 2:  # the first call was the coldest; the second tells how long one takes
            batch = min(_most_in_batch(reference, plan), plan.batch(reference.contract, times[1]))
        race.pace(plan.calls[picked[0]], limit)
        if race.is_lost:
            evaluation.dropped[plan.workload.name] = len(times)
            break
    evaluation.seconds[plan.workload.name] = race.seconds
    for call, expected in plan.stressed:
        worker.prepare([call])
        worker.run(limit)
        mismatch = compare(reference.contract, expected, worker.results())
        if mismatch is not None:
            return _counterexample(call, mismatch)
    return None


def _counterexample(call: Call, mismatch: Mismatch) -> Counterexample:
    assert call.case is not None
    return call.case.counterexample(mismatch)


def _most_in_batch(reference: Reference, plan: Plan) -> int:
    read, written = bytes_of(reference.contract, plan.workload.sizes)
    return max(1, min(SCREEN_BATCH, BATCH_BYTES // (read + written + 1)))
