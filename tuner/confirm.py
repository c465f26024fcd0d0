"""Confirmation: a finalist against the reference and the incumbent, in fresh process pairs.

Nothing measured before counts here. Every process pair is new, every timed pair has new buffers and
new values, and every timed output is verified.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from outpace.codegen.reference import Reference
from outpace.model import (
    Counterexample,
    Grade,
    Mismatch,
    PairSamples,
    Speedup,
    Status,
    Variant,
    Workload,
)
from outpace.tuner.acceptance import compare, expect
from outpace.tuner.events import Observer, Progress
from outpace.tuner.oracle import Oracle
from outpace.tuner.plan import Plan, draw_call, reference_worker
from outpace.tuner.process import Call, Failure, Worker, bytes_of
from outpace.tuner.rule import THRESHOLD, SequentialRule, speedup_of

FLOOR_BYTES_PER_SECOND = 4e11
"""Written bytes a second and core that no machine exceeds; a faster variant is suspect."""


@dataclass(frozen=True)
class Contender:
    """A variant with the folder that holds its build, and its rough time by workload name."""

    variant: Variant
    folder: Path
    seconds: dict[str, float]


@dataclass
class Confirmation:
    """What confirming one workload gave."""

    workload: Workload
    status: Status
    reason: str
    speedup: Speedup | None = None
    over_incumbent: Speedup | None = None
    samples: tuple[PairSamples, ...] = ()
    timed_outputs: int = 0
    audited: int = 0
    counterexample: Counterexample | None = None
    details: str = ""
    grade: Grade = Grade.D
    stands: bool = False
    """Whether the finalist is what serves this workload already."""

    @property
    def decided(self) -> bool:
        """Whether no other finalist needs to be tried at this workload."""
        return self.stands or self.status is Status.FASTER

    @property
    def measured(self) -> Speedup:
        """The speedup of a confirmation that was carried through."""
        assert self.speedup is not None
        return self.speedup


@dataclass
class _Running:
    """Ratios collected so far at one workload."""

    plan: Plan
    wins: list[bool] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    incumbent_ratios: list[float] = field(default_factory=list)
    samples: list[PairSamples] = field(default_factory=list)
    timed: int = 0
    audited: int = 0


class Wrong(Exception):  # noqa: N818  (becomes a Trial)
    """A timed output was outside its band."""

    def __init__(self, mismatch: Mismatch, plan: Plan) -> None:
        super().__init__(f"wrong at workload {plan.workload.name!r}: {describe(mismatch)}")
        self.counterexample = Counterexample(plan.workload.sizes, 0, "plain", mismatch)


class Suspect(Exception):  # noqa: N818  (becomes a Trial)
    """A time that no machine can reach."""


def describe(mismatch: Mismatch) -> str:
    """A mismatch in one sentence."""
    return (
        f"{mismatch.output}{list(mismatch.index)} is {mismatch.got}, expected "
        f"{mismatch.expected} within {mismatch.allowed} ({mismatch.count} elements differ)"
    )


def confirm(
    reference: Reference,
    oracle: Oracle,
    plans: Sequence[Plan],
    finalist: Contender,
    incumbent: Contender | None,
    alpha: float,
    observer: Observer,
) -> list[Confirmation]:
    """Measure until the rule decides at every workload.

    `alpha` is the false-promotion probability to spend, shared equally by the workloads. A failure
    of the finalist at any workload ends all of them with its status.
    """
    rule = SequentialRule.for_alpha(alpha / len(plans))
    running = [_Running(plan) for plan in plans]
    grade = Grade.D
    most = 0
    try:
        while pending := [r for r in running if rule.decide(r.wins) is None]:
            most = max(len(r.wins) for r in running)
            observer.notice(Progress(most, rule.unanimous, "process pairs"))
            grade = _process_pair(reference, oracle, pending, finalist, incumbent)
        observer.notice(Progress(rule.unanimous, rule.unanimous, "process pairs"))
    except Failure as failure:
        return [_failed(r, failure.status, failure.reason, grade, failure.details) for r in running]
    except Suspect as suspect:
        return [_failed(r, Status.SUSPECT, str(suspect), grade) for r in running]
    except Wrong as wrong:
        results = [_failed(r, Status.WRONG, str(wrong), grade) for r in running]
        for result in results:
            result.counterexample = wrong.counterexample
        return results
    return [_concluded(r, rule, grade, incumbent is not None) for r in running]


def one_process_pair(
    reference: Reference, oracle: Oracle, plans: Sequence[Plan], finalist: Contender
) -> list[PairSamples]:
    """What one fresh process pair measures, one entry per workload.

    Raises:
        Failure, Suspect, Wrong: As they would end a confirmation.
    """
    running = [_Running(plan) for plan in plans]
    _process_pair(reference, oracle, running, finalist, None)
    return [one.samples[0] for one in running]


def _failed(
    running: _Running, status: Status, reason: str, grade: Grade, details: str = ""
) -> Confirmation:
    return Confirmation(running.plan.workload, status, reason, details=details, grade=grade)


def _concluded(
    running: _Running, rule: SequentialRule, grade: Grade, has_incumbent: bool
) -> Confirmation:
    over = speedup_of(running.ratios)
    over_incumbent = speedup_of(running.incumbent_ratios) if has_incumbent else None
    binding = over_incumbent if over_incumbent and over_incumbent.median < over.median else over
    against = "the incumbent" if binding is over_incumbent else "the reference"
    if rule.decide(running.wins):
        status = Status.FASTER
        reason = f"{over.median:.2f}x faster in {sum(running.wins)} of {len(running.wins)} pairs"
    elif binding.median > THRESHOLD:
        status = Status.INCONCLUSIVE
        reason = (
            f"{binding.median:.3f}x of {against}, but not in {len(running.wins)} of "
            f"{len(running.wins)} process pairs; try again on a quieter machine"
        )
    else:
        status = Status.NOT_FASTER
        reason = f"{binding.median:.3f}x of {against}; more than {THRESHOLD} is needed"
    return Confirmation(
        running.plan.workload,
        status,
        reason,
        over,
        over_incumbent,
        tuple(running.samples),
        running.timed,
        running.audited,
        grade=grade,
    )


def _process_pair(
    reference: Reference,
    oracle: Oracle,
    running: Sequence[_Running],
    finalist: Contender,
    incumbent: Contender | None,
) -> Grade:
    """Fresh processes for all contenders; every undecided workload is measured in them."""
    with ExitStack() as stack:
        capacity = _capacity(reference, running, finalist)
        baseline = stack.enter_context(reference_worker(reference, capacity))
        contenders = [finalist] + ([incumbent] if incumbent is not None else [])
        workers = [
            stack.enter_context(Worker(reference.contract, c.folder, capacity, variant=c.variant))
            for c in contenders
        ]
        for one in running:
            _measure(reference, oracle, one, finalist, baseline, workers)
        return workers[0].grade


def _capacity(
    reference: Reference, running: Sequence[_Running], finalist: Contender
) -> tuple[int, int]:
    """Arena sizes that hold the largest batch of these workloads."""
    read = written = 0
    for one in running:
        sizes = one.plan.workload.sizes
        batch = one.plan.batch(reference.contract, finalist.seconds[one.plan.workload.name])
        r, w = bytes_of(reference.contract, sizes)
        read, written = max(read, batch * r), max(written, batch * w)
    return read, written


def _measure(
    reference: Reference,
    oracle: Oracle,
    running: _Running,
    finalist: Contender,
    baseline: Worker,
    workers: Sequence[Worker],
) -> None:
    """All pairs of one process pair at one workload; appends a win or a loss."""
    plan = running.plan
    rng = np.random.default_rng()
    expected_seconds = finalist.seconds[plan.workload.name]
    batch = plan.batch(reference.contract, expected_seconds)
    charge = baseline.allocation_seconds(plan.workload.sizes)
    rows: list[list[float]] = []
    orders = ""
    contenders = [baseline, *workers]
    pairs = plan.pairs(batch, expected_seconds)
    audits = plan.audit_share(batch * (pairs + 1))
    for pair in range(-1, pairs):  # pair -1 warms caches up and is verified like the others
        calls = [draw_call(reference, plan.workload, rng) for _ in range(batch)]
        order = rng.permutation(len(contenders))
        seconds = [0.0] * len(contenders)
        for which in order:
            limit = 10.0 + 20.0 * batch * plan.reference_seconds
            contenders[which].prepare(calls)
            seconds[which] = contenders[which].run(limit) / batch
            if which == 0:
                baseline.publish()
        _verify(reference, oracle, running, calls, baseline, workers[0], audits, rng)
        if pair >= 0:
            rows.append([seconds[0], *(t + charge for t in seconds[1:])])
            orders += "b" if list(order).index(0) < list(order).index(1) else "v"
    _refuse_absurd(reference, plan, [row[1] - charge for row in rows])
    ratio = median(row[0] / row[1] for row in rows)
    running.ratios.append(ratio)
    won = ratio > THRESHOLD
    if len(workers) > 1:
        against = median(row[2] / row[1] for row in rows)
        running.incumbent_ratios.append(against)
        won = won and against > THRESHOLD
    running.wins.append(won)
    running.samples.append(
        PairSamples(tuple(r[0] for r in rows), tuple(r[1] for r in rows), orders)
    )


def _verify(
    reference: Reference,
    oracle: Oracle,
    running: _Running,
    calls: Sequence[Call],
    baseline: Worker,
    worker: Worker,
    audit_share: float,
    rng: np.random.Generator,
) -> None:
    """Compare every output of the batch; a share of them, drawn now, also with the full rule."""
    contract, plan = reference.contract, running.plan
    for item, call in enumerate(calls):
        got = worker.results(item)
        mismatch = plan.envelope.compare(contract, baseline.results(item), got)
        if mismatch is not None:
            raise Wrong(mismatch, plan)
        running.timed += 1
        if running.audited and rng.random() >= audit_share:
            continue
        begin = time.perf_counter()
        full = expect(oracle, dict(call.values), dict(call.sizes), rng)
        plan.full_rule_seconds = time.perf_counter() - begin
        running.audited += 1
        mismatch = compare(contract, full, got)
        if mismatch is not None:
            raise Wrong(mismatch, plan)


def _refuse_absurd(reference: Reference, plan: Plan, seconds: Sequence[float]) -> None:
    _, written = bytes_of(reference.contract, plan.workload.sizes)
    floor = written / (FLOOR_BYTES_PER_SECOND * len(os.sched_getaffinity(0)))
    if min(seconds) < floor:
        raise Suspect(
            f"{min(seconds):.2e} s at workload {plan.workload.name!r} is below the "
            f"{floor:.2e} s that writing the output must take"
        )
