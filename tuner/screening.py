"""Screening of variants that were right: a rough time at every workload, alone on the machine.

What is measured here only chooses the finalists.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from outpace.codegen.reference import Reference
from outpace.model import Counterexample, Mismatch, Status, Trial
from outpace.tuner.acceptance import compare
from outpace.tuner.confirm import describe
from outpace.tuner.evaluate import Evaluation, trial_of
from outpace.tuner.plan import BATCH_BYTES, Plan
from outpace.tuner.process import Failure, Worker, bytes_of, capacity_for

SCREEN_CALLS = 7
SCREEN_SECONDS = 2.0
SCREEN_BATCH = 64
PACED_SECONDS = 0.3
"""References slower than this are not run again for each variant."""


def screen(
    reference: Reference, plans: Sequence[Plan], evaluation: Evaluation, pacer: Worker
) -> Trial | None:
    """Time an evaluated variant at every workload, verified; fills its `seconds`.

    Args:
        reference: What it is a variant of.
        plans: The workloads.
        evaluation: The variant.
        pacer: A process that runs the reference between the calls, so that times measured while
            the machine was busy compare with those measured while it was not.

    Returns:
        A trial when the variant is wrong or fails at a workload, else None.
    """
    variant = evaluation.variant
    batches = [(_most_in_batch(reference, plan), plan.workload.sizes) for plan in plans]
    capacity = capacity_for(reference.contract, batches)
    workload = ""
    try:
        folder = evaluation.contender.folder
        with Worker(reference.contract, folder, capacity, variant=variant) as worker:
            for plan in plans:
                workload = plan.workload.name
                mismatch = _screen_workload(reference, plan, evaluation, worker, pacer)
                if mismatch is not None:
                    return trial_of(
                        variant,
                        Status.WRONG,
                        f"wrong at workload {workload!r}: {describe(mismatch)}",
                        workload=workload,
                        stage="screen",
                        grade=evaluation.grade,
                        counterexample=Counterexample(plan.workload.sizes, 0, "plain", mismatch),
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


def _screen_workload(
    reference: Reference, plan: Plan, evaluation: Evaluation, worker: Worker, pacer: Worker
) -> Mismatch | None:
    limit = 10.0 + 20.0 * plan.reference_seconds
    times: list[float] = []
    paces: list[float] = []
    rng = np.random.default_rng()
    batch, spent = 1, 0.0
    while len(times) < SCREEN_CALLS + 2 and spent < SCREEN_SECONDS:
        picked = rng.integers(len(plan.calls), size=batch)
        worker.prepare([plan.calls[which] for which in picked])
        spent += (seconds := worker.run(limit))
        times.append(seconds / batch)
        for item, which in enumerate(picked):
            got = worker.results(item)
            mismatch = compare(reference.contract, plan.expected[which], got)
            if mismatch is not None:
                return mismatch
        if len(times) == 2:  # the first call was the coldest; the second tells how long one takes
            batch = min(_most_in_batch(reference, plan), plan.batch(reference.contract, times[1]))
        if plan.reference_seconds < PACED_SECONDS:
            pacer.prepare([plan.calls[picked[0]]])
            paces.append(pacer.run(limit))
    pace = median(paces[1:]) / plan.reference_seconds if len(paces) > 1 else 1.0
    timed = times[2:] or times[1:] or times
    evaluation.seconds[plan.workload.name] = median(timed) / pace + plan.allocation_seconds
    return None


def _most_in_batch(reference: Reference, plan: Plan) -> int:
    read, written = bytes_of(reference.contract, plan.workload.sizes)
    return max(1, min(SCREEN_BATCH, BATCH_BYTES // (read + written + 1)))
