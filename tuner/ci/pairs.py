"""Base and head of a change, timed in fresh processes through the channel of the judge.

Four processes take part: the base, the head, the base again and a slowed base. Each runs the
decorated function of its tree, so that what is timed is what a caller gets: the promotion with its
dispatch, or the reference. A random call of every process pair is verified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from outpace.codegen.inputs import Case
from outpace.model import Mismatch
from outpace.tuner.ci.rule import PairRatios
from outpace.tuner.conditions import Watch, disturbance
from outpace.tuner.confirm import describe
from outpace.tuner.interleaving import run_interleaved
from outpace.tuner.numerics.selfcheck import CheckedReference
from outpace.tuner.plan import Plan, draw_call
from outpace.tuner.process import Call, Failure, Worker, capacity_for

FIRST_LIMIT = 600.0
"""Seconds for a first call, in which promotions are loaded and may still be compiled."""
WARM_CALLS = 3
"""Calls that tell roughly how long one takes."""
Location = tuple[str, str]


@dataclass(frozen=True)
class Subject:
    """A function that both trees have.

    Attributes:
        checked: The head's reference.
        plans: Its workloads.
        base: Where a process finds what a call runs in the base.
        head: The same of the head.
        slowed: The same of the base, slowed down.
        home: Folder of these processes.
    """

    checked: CheckedReference
    plans: tuple[Plan, ...]
    base: Location
    head: Location
    slowed: Location
    home: Path


@dataclass(frozen=True)
class Size:
    """How much is timed in a process pair at one workload.

    Attributes:
        batch: Calls in a timed request.
        pairs: Timed requests of each process.
        limit: Seconds that one may take.
    """

    batch: int
    pairs: int
    limit: float


class WrongResult(Exception):  # noqa: N818  (becomes a finding)
    """A call of the head gave something else than its reference does."""

    def __init__(self, workload: str, mismatch: Mismatch, case: Case | None) -> None:
        drawn = "" if case is None else f"; the case is {case.text}"
        super().__init__(f"{describe(mismatch)}{drawn}")
        self.workload = workload


def sizes_for(subject: Subject) -> dict[str, Size]:
    """How much to time at every workload, from a few calls of base and head.

    Raises:
        Failure: The base does not run.
        HeadFailed: The head does not run.
    """
    base = _rough_seconds(subject, subject.base)
    try:
        head = _rough_seconds(subject, subject.head)
    except Failure as failure:
        raise HeadFailed(failure.status, failure.reason, failure.details) from failure
    return {
        plan.workload.name: _size(subject, plan, base[plan.workload.name], head[plan.workload.name])
        for plan in subject.plans
    }


class HeadFailed(Failure):
    """A call of the head did not end as it should, where the base's did."""


def _size(subject: Subject, plan: Plan, base: float, head: float) -> Size:
    contract = subject.checked.reference.contract
    ours = replace(plan, reference_seconds=base)
    batch = ours.batch(contract, min(base, head))
    # Three contenders take as long as the base; no win can be so clear that a few pairs would do.
    pairs = ours.pairs(batch, 2.0 * base + max(base, head))
    return Size(batch, pairs, 10.0 + 20.0 * batch * max(base, head))


def _rough_seconds(subject: Subject, location: Location) -> dict[str, float]:
    """Seconds of one call by workload, the shortest of a few."""
    rng = np.random.default_rng()
    reference = subject.checked.reference
    found = {}
    capacity = capacity_for(reference.contract, [(1, p.workload.sizes) for p in subject.plans])
    with _start(subject, location, capacity) as worker:
        worker.wait_until_loaded()
        for plan in subject.plans:
            times = []
            for _ in range(1 + WARM_CALLS):
                call = [draw_call(reference, plan.workload, rng)]
                (seconds,), _ = run_interleaved([worker], call, FIRST_LIMIT, rng)
                times.append(seconds)
            found[plan.workload.name] = min(times[1:])
    return found


def process_pair(
    subject: Subject, plans: Sequence[Plan], sizes: Mapping[str, Size]
) -> dict[str, PairRatios]:
    """Time fresh processes at these workloads.

    Raises:
        Failure: A process did not answer as it should.
        WrongResult: A result of the head is outside its band.
    """
    contract = subject.checked.reference.contract
    batches = [(sizes[p.workload.name].batch, p.workload.sizes) for p in plans]
    capacity = capacity_for(contract, batches)
    locations = (subject.base, subject.head, subject.base, subject.slowed)
    watch = Watch()  # from here on: the timed pairs alone can be lost in the clock's ticks
    with ExitStack() as stack:
        workers = [stack.enter_context(_start(subject, at, capacity)) for at in locations]
        for worker in workers:
            worker.wait_until_loaded()
        watch.include([pid for worker in workers for pid in worker.everyone])
        return {p.workload.name: _measured(subject, p, sizes, workers, watch) for p in plans}


def _start(subject: Subject, location: Location, capacity: tuple[int, int]) -> Worker:
    contract = subject.checked.reference.contract
    return Worker(contract, subject.home, capacity, location=location, awaited=False)


def _measured(
    subject: Subject,
    plan: Plan,
    sizes: Mapping[str, Size],
    workers: Sequence[Worker],
    watch: Watch,
) -> PairRatios:
    size, rng = sizes[plan.workload.name], np.random.default_rng()
    everyone = len(workers)
    first = [draw_call(subject.checked.reference, plan.workload, rng)]
    run_interleaved(workers, first, FIRST_LIMIT, rng, returning=everyone)  # loads promotions
    verified = int(rng.integers(size.pairs))
    rows = []
    for pair in range(size.pairs):
        calls = [
            draw_call(subject.checked.reference, plan.workload, rng) for _ in range(size.batch)
        ]
        seconds, _ = run_interleaved(workers, calls, size.limit, rng, returning=everyone)
        rows.append(seconds)
        if pair == verified:
            _verify(subject, plan, calls, workers[1], rng)
    disturbed = disturbance(watch.conditions())
    head, again, slowed = (median(row[k] / row[0] for row in rows) for k in (1, 2, 3))
    return PairRatios(head, again, slowed, disturbed)


def _verify(
    subject: Subject, plan: Plan, calls: Sequence[Call], head: Worker, rng: np.random.Generator
) -> None:
    """Compare one call of a batch, drawn now, with the reference's own result."""
    item = int(rng.integers(len(calls)))
    call = calls[item]
    native = subject.checked.oracle.native(dict(call.values), dict(call.sizes))
    contract = subject.checked.reference.contract
    mismatch = plan.envelope.compare(contract, native, head.results(item))
    if mismatch is not None:
        raise WrongResult(plan.workload.name, mismatch, call.case)
