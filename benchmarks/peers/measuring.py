"""One program at one workload: all forms are verified, the best of each peer timed together.

They run as the reference does: in a process of their own that is stopped unless it is its turn, on
inputs that are new for each round, and they return new arrays. The order is random in each round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import ceil
from statistics import median

import numpy as np

from outpace.codegen.reference import Reference
from outpace.model import Mismatch, Workload
from outpace.tuner.numerics.oracle import Oracle
from outpace.tuner.plan import Plan, draw_call, make_plan
from outpace.tuner.process import Call, Failure, Worker, capacity_for
from peers.contenders import BUILD_SECONDS, PRODUCT, REFERENCE, Contender, Field, telling_line

TRUSTED = f"{REFERENCE}: "
"""Label of the reference."""
PROCESS_SETS = 3
SLOW_SECONDS = 4.0
"""A form whose call takes longer is left out."""
KEPT_WITHIN = 1.2
"""Forms of a peer this near to its fastest are timed with it; at most `KEPT_MOST` of them."""
KEPT_MOST = 2
LIMIT = 60.0
"""Seconds for a timed request."""
_BATCH_SECONDS = 0.3
"""The slowest contender's share of a round."""


@dataclass
class Measured:
    """What was found at one workload.

    Attributes:
        batch: Calls in a timed request.
        samples: Seconds of one call, round by round, by label.
        screened: Seconds of one call of every right form, when it was verified.
        left_out: Why a form is not timed, by label.
    """

    batch: int = 1
    samples: dict[str, list[float]] = field(default_factory=dict)
    screened: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def leaving_out(self, label: str) -> Iterator[None]:
        """Leave a form out, with all that was measured of it, if it fails or is wrong.

        Raises:
            Failure: It is the reference that fails.
        """
        try:
            yield
        except (Failure, WrongError) as failure:
            if label == TRUSTED:
                raise
            self.left_out[label] = telling_line(str(failure))
            self.samples.pop(label, None)
            self.screened.pop(label, None)


class WrongError(Exception):
    """A result is outside what the acceptance rule allows."""


def measure(
    reference: Reference, workload: Workload, found: Field, rounds: int, rng: np.random.Generator
) -> Measured:
    """Verify and time.

    Args:
        reference: The program.
        workload: Its sizes.
        found: What takes part.
        rounds: At least so many times is every contender timed.
        rng: Draws inputs and order.

    Raises:
        ContractError: The reference cannot be judged at this workload.
    """
    contenders = found.contenders
    plan = make_plan(reference, Oracle(reference), workload, rng)
    measured = Measured(left_out=dict(found.left_out))
    for contender in contenders:
        with measured.leaving_out(contender.label):
            seconds = _verified(contender, reference, plan)
            measured.screened[contender.label] = seconds
            if seconds > SLOW_SECONDS and contender.peer not in (REFERENCE, PRODUCT):
                measured.left_out[contender.label] = f"takes {seconds:.1f} s a call"
    timed = [
        contender
        for contender in chosen(contenders, measured.screened)
        if contender.label not in measured.left_out
    ]
    times = [measured.screened[contender.label] for contender in timed]
    slowest = ceil(_BATCH_SECONDS / max(times))
    measured.batch = max(1, min(plan.batch(reference.contract, min(times)), slowest))
    for _ in range(PROCESS_SETS):
        _time_set(timed, reference, plan, measured, ceil(rounds / PROCESS_SETS), rng)
    return measured


def chosen(contenders: Sequence[Contender], screened: dict[str, float]) -> list[Contender]:
    """The forms of each peer that may be its best, the reference first."""
    kept: list[Contender] = []
    for peer in dict.fromkeys(contender.peer for contender in contenders):
        right = [c for c in contenders if c.peer == peer and c.label in screened]
        right.sort(key=lambda c: screened[c.label])
        near = [c for c in right if screened[c.label] <= KEPT_WITHIN * screened[right[0].label]]
        kept += near[:KEPT_MOST]
    return kept


def _verified(contender: Contender, reference: Reference, plan: Plan) -> float:
    """Seconds of one call, compiled and warm, after all results were held against the full rule.

    Raises:
        Failure: It does not load, or a call of it fails.
        WrongError: A result is wrong.
    """
    times = []
    with contender.start(capacity_for(contender.contract, [(1, plan.workload.sizes)])) as worker:
        for which in (*range(len(plan.calls)), 0, 0):
            worker.prepare([plan.calls[which]], BUILD_SECONDS)
            times.append(worker.run(BUILD_SECONDS))
            worker.publish()
            mismatch = plan.compare(reference.contract, which, worker.results())
            _refuse(mismatch)
            if sum(times[1:]) > 2 * SLOW_SECONDS:
                break
    return median(times[1:])


def _refuse(mismatch: Mismatch | None) -> None:
    if mismatch is not None:
        raise WrongError(
            f"wrong: {mismatch.output}{list(mismatch.index)} is {mismatch.got}, expected "
            f"{mismatch.expected} within {mismatch.allowed}"
        )


def _time_set(
    timed: Sequence[Contender],
    reference: Reference,
    plan: Plan,
    measured: Measured,
    rounds: int,
    rng: np.random.Generator,
) -> None:
    """Some rounds in fresh processes; what fails meanwhile loses all its samples."""
    sizes = plan.workload.sizes
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for contender in timed:
            if contender.label in measured.left_out:
                continue
            room = capacity_for(contender.contract, [(measured.batch, sizes)])
            with measured.leaving_out(contender.label):
                worker = stack.enter_context(contender.start(room))
                worker.prepare(plan.calls[:1])
                worker.run(BUILD_SECONDS)
                worker.publish()
                workers[contender.label] = worker
        for _ in range(rounds):
            calls = [draw_call(reference, plan.workload, rng) for _ in range(measured.batch)]
            _time_round(workers, calls, reference, plan, measured, rng)


def _time_round(
    workers: dict[str, Worker],
    calls: Sequence[Call],
    reference: Reference,
    plan: Plan,
    measured: Measured,
    rng: np.random.Generator,
) -> None:
    """One request each in random order; every result is held against that of the reference."""
    seconds: dict[str, float] = {}
    for label in rng.permutation(np.array(list(workers), dtype=str)):
        with measured.leaving_out(str(label)):
            worker = workers[label]
            worker.prepare(calls)
            seconds[str(label)] = worker.run(LIMIT) / len(calls)
            worker.publish()
    trusted = workers[TRUSTED]
    for label, taken in seconds.items():
        with measured.leaving_out(label):
            for item in range(len(calls)):
                native, got = trusted.results(item), workers[label].results(item)
                _refuse(plan.envelope.compare(reference.contract, native, got))
            measured.samples.setdefault(label, []).append(taken)
    for label in [label for label in workers if label in measured.left_out]:
        del workers[label]  # it is ended with the others
