"""Confirmation: a finalist against the reference and its rivals, in fresh process pairs.

Nothing measured before counts here. Every process pair is new, every timed pair has new buffers and
new values, and every timed output is verified.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from outpace.codegen.dims import sizes_text
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.reference import Reference
from outpace.model import (
    Counterexample,
    Grade,
    Mismatch,
    PairSamples,
    Residence,
    Speedup,
    Status,
    Workload,
)
from outpace.roofline import Roofline
from outpace.tuner.conditions import CLEAR, Watch, disturbance, least_ratio
from outpace.tuner.contenders import Against, Batches, Contender, Runner
from outpace.tuner.events import Observer, Progress
from outpace.tuner.interleaving import run_interleaved
from outpace.tuner.numerics.acceptance import Expected, compare, expect
from outpace.tuner.numerics.selfcheck import CheckedReference
from outpace.tuner.numerics.unseen import (
    GROWTH,
    GROWTH_SLOW,
    almost_same,
    draw_again,
    draw_nearby,
    nearby_envelope,
)
from outpace.tuner.plan import Plan, draw_call, reference_worker
from outpace.tuner.process import Call, Failure, Worker, bytes_of, capacity_for
from outpace.tuner.rule import THRESHOLD, SequentialRule, speedup_of

FLOOR_BYTES_PER_SECOND = 4e11
"""Written bytes a second and core that no machine exceeds; a faster variant is suspect."""
FLOOR_OF_GPU = 4e13
"""The same of a GPU, whose second-level cache is the fastest thing that all of it can write to."""
PAIRS_ALONE = 40
"""Pairs of calls made alone in a process pair, where calls are otherwise timed in batches."""
WARM_SECONDS = 1.0
"""References slower than this get no pair that is not counted."""
COMMON = 0.5
"""How often extents near the workload are its half or double, in the pairs that try them."""
DRAWN_LIMIT = 30.0
"""Seconds for one call on a small drawn case."""


@dataclass
class Confirmation:
    """What confirming one workload gave."""

    workload: Workload
    status: Status
    reason: str
    speedup: Speedup | None = None
    over_rivals: Mapping[Against, Speedup] = field(default_factory=dict)
    samples: tuple[PairSamples, ...] = ()
    timed_outputs: int = 0
    audited: int = 0
    counterexample: Counterexample | None = None
    details: str = ""
    grade: Grade = Grade.D
    stands: bool = False
    """Whether the finalist is what serves this workload already."""
    roofline: Roofline | None = None
    """With arrays on a GPU, where the finalist's time stands."""

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
    rival_ratios: dict[Against, list[float]]
    wins: list[bool] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    saved_in_batches: list[float] = field(default_factory=list)
    saved_alone: list[float] = field(default_factory=list)
    """Seconds that a call saves over the reference; both empty where calls are not batched."""
    samples: list[PairSamples] = field(default_factory=list)
    disturbances: list[str] = field(default_factory=list)
    """What disturbed a process pair, one sentence for each that was."""
    timed: int = 0
    audited: int = 0
    nearby: Case | None = None
    """Sizes near the workload at which the process pair that runs now is tried."""

    @property
    def saves_alone(self) -> bool:
        """Whether a call made alone saves at least half of what one in a batch does.

        In a batch, a draft could work on several calls together. What the channel costs, which
        hides the ratio of short calls made alone, cancels in the difference.
        """
        return not self.saved_alone or (
            median(self.saved_alone) >= 0.5 * median(self.saved_in_batches)
        )


class Wrong(Exception):  # noqa: N818  (becomes a Trial)
    """An output of a confirming process was outside its band."""

    def __init__(self, where: str, case: Case | None, mismatch: Mismatch) -> None:
        super().__init__(f"wrong at {where}: {describe(mismatch)}")
        self.counterexample = None if case is None else case.counterexample(mismatch)


class Suspect(Exception):  # noqa: N818  (becomes a Trial)
    """A time that no machine can reach."""


def describe(mismatch: Mismatch) -> str:
    """A mismatch in one sentence."""
    return (
        f"{mismatch.output}{list(mismatch.index)} is {mismatch.got}, expected "
        f"{mismatch.expected} within {mismatch.allowed} ({mismatch.count} elements differ)"
    )


def describe_sizes(case: Case) -> str:
    """The sizes of a case as a person would write them."""
    return sizes_text(case.sizes)


def confirm(
    checked: CheckedReference,
    plans: Sequence[Plan],
    finalist: Contender,
    rivals: Mapping[Against, Contender],
    alpha: float,
    observer: Observer,
) -> list[Confirmation]:
    """Measure until the rule decides at every workload; the finalist must beat every rival too.

    `alpha` is the false-promotion probability to spend, shared equally by the workloads. A failure
    of the finalist at any workload ends all of them with its status.
    """
    rule = SequentialRule.for_alpha(alpha / len(plans))
    running = [_Running(plan, {who: [] for who in rivals}) for plan in plans]
    grade = Grade.D
    try:
        while pending := [r for r in running if rule.decide(r.wins) is None]:
            needed = max(rule.needed(r.wins) for r in pending)
            observer.notice(Progress(len(pending[0].wins), needed, "process pairs"))
            grade = _process_pair(checked, pending, finalist, rivals)
        most = max(len(r.wins) for r in running)
        observer.notice(Progress(most, most, "process pairs"))
    except Failure as failure:
        return [_failed(r, failure.status, failure.reason, grade, failure.details) for r in running]
    except Suspect as suspect:
        return [_failed(r, Status.SUSPECT, str(suspect), grade) for r in running]
    except Wrong as wrong:
        results = [_failed(r, Status.WRONG, str(wrong), grade) for r in running]
        for result in results:
            result.counterexample = wrong.counterexample
        return results
    return [_concluded(r, rule, grade) for r in running]


@dataclass(frozen=True)
class ProcessPair:
    """What one fresh process pair measured at one workload.

    Attributes:
        samples: Its timings.
        over_incumbent: Median ratio of the incumbent's times over the finalist's, if there was one.
        won: Whether the rule counts it as a win.
    """

    samples: PairSamples
    over_incumbent: float | None
    won: bool


def one_process_pair(
    checked: CheckedReference,
    plans: Sequence[Plan],
    finalist: Contender,
    incumbent: Contender | None = None,
) -> list[ProcessPair]:
    """Time one fresh process pair, one result per workload; for measuring the rule's error rates.

    Raises:
        Failure, Suspect, Wrong: As they would end a confirmation.
    """
    rivals = {} if incumbent is None else {Against.INCUMBENT: incumbent}
    running = [_Running(plan, {who: [] for who in rivals}) for plan in plans]
    _process_pair(checked, running, finalist, rivals)
    return [
        ProcessPair(one.samples[0], next((r[0] for r in one.rival_ratios.values()), None), won)
        for one in running
        for won in one.wins
    ]


def _failed(
    running: _Running, status: Status, reason: str, grade: Grade, details: str = ""
) -> Confirmation:
    return Confirmation(running.plan.workload, status, reason, details=details, grade=grade)


def _concluded(running: _Running, rule: SequentialRule, grade: Grade) -> Confirmation:
    over = speedup_of(running.ratios)
    over_rivals = {who: speedup_of(ratios) for who, ratios in running.rival_ratios.items()}
    everyone = [("the reference", over), *over_rivals.items()]
    against, binding = min(everyone, key=lambda one: one[1].median)
    if rule.decide(running.wins) and not running.saves_alone:
        status = Status.NOT_FASTER
        reason = (
            f"{over.median:.2f}x in batches of calls, but a call made alone saves "
            f"{1e6 * median(running.saved_alone):.1f} us instead of "
            f"{1e6 * median(running.saved_in_batches):.1f} us"
        )
    elif rule.decide(running.wins):
        status = Status.FASTER
        reason = f"{over.median:.2f}x faster in {sum(running.wins)} of {len(running.wins)} pairs"
    elif 2 * len(running.disturbances) >= len(running.wins) and binding.median > 1 / CLEAR:
        status = Status.INCONCLUSIVE
        reason = (
            f"{binding.median:.3f}x of {against}, but the machine was too busy to tell in "
            f"{len(running.disturbances)} of {len(running.wins)} process pairs "
            f"({running.disturbances[-1]}); try again on a quieter machine"
        )
    elif binding.median > THRESHOLD:
        status = Status.INCONCLUSIVE
        reason = (
            f"{binding.median:.3f}x of {against}, but faster in only {sum(running.wins)} of "
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
        over_rivals,
        tuple(running.samples),
        running.timed,
        running.audited,
        grade=grade,
    )


def _process_pair(
    checked: CheckedReference,
    running: Sequence[_Running],
    finalist: Contender,
    rivals: Mapping[Against, Contender],
) -> Grade:
    """Fresh processes for all contenders; every undecided workload is measured in them."""
    reference = checked.reference
    watch = Watch()
    rng = np.random.default_rng()
    for one in running:
        is_slow = one.plan.reference_seconds > WARM_SECONDS
        bounds = (1.0, GROWTH_SLOW if is_slow else GROWTH) if len(one.wins) % 2 else (0.0, 1.0)
        # Two of four pairs get sizes that share no factor with the workload, but by chance.
        common = COMMON if len(one.wins) % 4 > 1 else 0.0
        one.nearby = draw_nearby(reference, one.plan.workload, bounds, rng, common)
    with ExitStack() as stack:
        batches = _batches(checked, running, finalist)
        capacity = capacity_for(reference.contract, batches)
        baseline = stack.enter_context(reference_worker(reference, capacity, awaited=False))
        workers = [
            stack.enter_context(contender.start(reference.contract, batches))
            for contender in (finalist, *rivals.values())
        ]
        baseline.wait_until_loaded()  # it has loaded beside them
        watch.include([pid for worker in (baseline, *workers) for pid in worker.everyone])
        # Large arrays put the arenas on huge pages, which smaller ones must not profit from.
        for one in sorted(running, key=lambda r: _written(reference, r)):
            _measure(checked, one, finalist, baseline, workers, watch)
        return workers[0].grade


def _written(reference: Reference, running: _Running) -> int:
    return bytes_of(reference.contract, running.plan.workload.sizes)[1]


def _batches(
    checked: CheckedReference, running: Sequence[_Running], finalist: Contender
) -> Batches:
    """The largest batch of these workloads, and any drawn case."""
    contract = checked.reference.contract
    batches: list[tuple[int, Mapping[str, int]]] = [(1, case.sizes) for case in checked.cases]
    for one in running:
        workload = one.plan.workload
        batch = one.plan.batch(contract, finalist.seconds[workload.name])
        batches.append((batch, workload.sizes))
        if one.nearby is not None:
            batches.append((1, one.nearby.sizes))
        if one.plan.smaller is not None:
            batches.append((1, one.plan.smaller.case.sizes))
    return batches


def _measure(
    checked: CheckedReference,
    running: _Running,
    finalist: Contender,
    baseline: Worker,
    workers: Sequence[Runner],
    watch: Watch,
) -> None:
    """All pairs of one process pair at one workload; appends a win or a loss.

    Where calls are timed in batches, some are also timed alone, for `_Running.saves_alone`.
    """
    plan = running.plan
    contract = checked.reference.contract
    expected_seconds = finalist.seconds[plan.workload.name]
    batch = plan.batch(contract, expected_seconds)
    pairs = plan.pairs(batch, expected_seconds)
    charge = baseline.allocation_seconds(plan.workload.sizes)
    contenders = (baseline, *workers)
    rows, orders = _timed_pairs(checked, running, batch, pairs, contenders)
    conditions = watch.conditions()
    _refuse_absurd(checked.reference, plan, [row[1] for row in rows])
    charge = 0.5 * (charge + baseline.allocation_seconds(plan.workload.sizes))
    charges = [0.0 if one.allocates else charge for one in contenders]
    rows = [tuple(map(sum, zip(row, charges, strict=True))) for row in rows]
    ratios = [median(row[other] / row[1] for row in rows) for other in range(len(rows[0]))]
    running.ratios.append(ratios[0])
    for collected, ratio in zip(running.rival_ratios.values(), ratios[2:], strict=True):
        collected.append(ratio)
    disturbed = disturbance(conditions)
    running.disturbances += [disturbed] if disturbed is not None else []
    least = least_ratio(conditions, THRESHOLD)
    running.wins.append(all(ratio > least for ratio in (ratios[0], *ratios[2:])))
    if batch > 1:
        alone, _ = _timed_pairs(checked, running, 1, PAIRS_ALONE, contenders)
        # A busy machine slows long requests down more than short ones, the reference's most.
        share = 1.0 - 1.0 / ratios[0]
        running.saved_in_batches.append(
            min(median(row[0] - row[1] for row in rows), share * median(row[0] for row in alone))
        )
        running.saved_alone.append(median(row[0] - row[1] for row in alone))
    running.samples.append(
        PairSamples(tuple(r[0] for r in rows), tuple(r[1] for r in rows), orders, conditions)
    )


def _timed_pairs(
    checked: CheckedReference,
    running: _Running,
    batch: int,
    pairs: int,
    contenders: Sequence[Runner],
) -> tuple[list[tuple[float, ...]], str]:
    """Seconds of one call for every contender in every pair, and which of the first two led.

    The first contender is the reference and the second the finalist, whose outputs are verified.
    """
    plan, reference = running.plan, checked.reference
    rng = np.random.default_rng()
    rows: list[tuple[float, ...]] = []
    orders = ""
    # Pair -1 warms caches up, where a call is short enough for that to show.
    first = -1 if plan.reference_seconds < WARM_SECONDS else 0
    interlude = int(rng.integers(first + 1, pairs))
    calls: list[Call] = []
    for pair in range(first, pairs):
        if pair == interlude:  # an answer to what looks the same would be repeated here
            calls = almost_same(reference, calls, len(running.wins), rng)
        else:
            calls = [draw_call(reference, plan.workload, rng) for _ in range(batch)]
        limit = 10.0 + 20.0 * batch * plan.reference_seconds
        seconds, order = run_interleaved(contenders, calls, limit, rng, in_place=pair == interlude)
        _verify(checked, running, calls, contenders, batch * (pairs + 1), rng)
        if pair == interlude:
            _verify_drawn_case(checked, contenders[1], rng)
            _verify_nearby(checked, running, contenders[1])
            _verify_smaller(checked, running, contenders[1])
        if pair >= 0:
            rows.append(tuple(seconds))
            orders += "b" if order.index(0) < order.index(1) else "v"
    return rows, orders


def _verify(
    checked: CheckedReference,
    running: _Running,
    calls: Sequence[Call],
    contenders: Sequence[Runner],
    outputs: int,
    rng: np.random.Generator,
) -> None:
    """Compare every output of the batch; a share of them, drawn now, also with the full rule.

    `outputs` is how many this process pair will give.
    """
    contract, plan = checked.reference.contract, running.plan
    where = f"workload {plan.workload.name!r}"
    for item, call in enumerate(calls):
        got = contenders[1].results(item)
        mismatch = plan.envelope.compare(contract, contenders[0].results(item), got)
        if mismatch is not None:
            raise Wrong(where, call.case, mismatch)
        running.timed += 1
        if not plan.is_audited(running.audited, outputs, rng):
            continue
        begin = time.perf_counter()
        full = expect(checked.oracle, dict(call.values), dict(call.sizes), rng)
        plan.full_rule_seconds = time.perf_counter() - begin
        running.audited += 1
        mismatch = compare(contract, full, got)
        if mismatch is not None:
            raise Wrong(where, call.case, mismatch)


def _verify_drawn_case(checked: CheckedReference, worker: Runner, rng: np.random.Generator) -> None:
    """Run new inputs of another size in the midst of the timing.

    A draft that behaves in one way in a process that begins with drawn cases, and in another in one
    that begins with a workload, would have been checked in the first only.
    """
    case, inputs, expected = draw_again(checked, rng)
    worker.prepare([Call(case.sizes, inputs)], anywhere=True)
    _require(checked, worker, case, expected)


def _verify_smaller(checked: CheckedReference, running: _Running, worker: Runner) -> None:
    """Hold a reference too slow for audits at its workload to the full rule at smaller sizes.

    The call is the same in every process pair, and the process is not: it cannot be remembered.
    """
    smaller = running.plan.smaller
    if smaller is None:
        return
    worker.prepare([smaller.call])
    _require(checked, worker, smaller.case, smaller.expected)
    running.audited += 1


def _require(checked: CheckedReference, worker: Runner, case: Case, expected: Expected) -> None:
    """Run the one prepared call of a case, and hold it to the full rule."""
    worker.run(DRAWN_LIMIT)
    mismatch = compare(checked.reference.contract, expected, worker.results())
    if mismatch is not None:
        raise Wrong(f"{describe_sizes(case)} among timed calls", case, mismatch)


def _verify_nearby(checked: CheckedReference, running: _Running, worker: Runner) -> None:
    """Run sizes at which the promotion would be served too, and no other call of it has."""
    case, plan, contract = running.nearby, running.plan, checked.reference.contract
    if case is None:
        return
    inputs = draw_inputs(checked.reference, case)
    try:
        native = checked.oracle.native(inputs, case.sizes)
    except Exception:  # noqa: BLE001  (the reference raises there)
        return
    worker.prepare([Call(case.sizes, inputs)], anywhere=True)
    worker.run(DRAWN_LIMIT + 100 * plan.reference_seconds)
    mismatch = nearby_envelope(plan.envelope).compare(contract, native, worker.results())
    if mismatch is not None:
        where = f"{describe_sizes(case)}, near workload {plan.workload.name!r}"
        raise Wrong(where, case, mismatch)


def _refuse_absurd(reference: Reference, plan: Plan, seconds: Sequence[float]) -> None:
    _, written = bytes_of(reference.contract, plan.workload.sizes)
    floor = written / (FLOOR_BYTES_PER_SECOND * len(os.sched_getaffinity(0)))
    if reference.residence is Residence.DEVICE:
        floor = written / FLOOR_OF_GPU
    if min(seconds) < floor:
        raise Suspect(
            f"{min(seconds):.2e} s at workload {plan.workload.name!r} is below the "
            f"{floor:.2e} s that writing the output must take"
        )
