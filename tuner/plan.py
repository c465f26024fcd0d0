"""What is measured at one workload: trusted outputs, the envelope, and how much to time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from statistics import median
from typing import TypeVar

import msgspec
import numpy as np

from outpace.codegen.inputs import Case, draw_inputs, flavours_of
from outpace.codegen.reference import Reference
from outpace.errors import ContractError, UsageError
from outpace.model import Contract, Mismatch, Residence, Workload
from outpace.tuner.gpu.process import DeviceWorker
from outpace.tuner.numerics.acceptance import Array, Envelope, Expected, chaotic, compare, expect
from outpace.tuner.numerics.oracle import Oracle
from outpace.tuner.numerics.smaller import SmallerCalibration, calibrate_smaller
from outpace.tuner.process import Call, Worker, bytes_of

_T = TypeVar("_T")

CALIBRATIONS = 3
"""Inputs on which the full rule calibrates the envelope, where the budget allows."""
CALIBRATION_BUDGET = 20.0
"""Seconds for the full rule at one workload; beyond it one input must do."""
SLOW_SECONDS = 0.7
"""References slower than this get a forecast of what the full rule would take."""
FULL_RULE_SECONDS = 60.0
"""Where it would take longer than this, it is applied at smaller sizes only."""
STRESSED_SECONDS = 0.5
"""References slower than this meet awkward values at small sizes only."""
STRESS_BUDGET = 1.0
"""Seconds for the full rule on such values at one workload; one call is always made."""
REQUEST_SECONDS = 2e-3
"""A timed request should last this long, so that the channel costs about 1% of it."""
BATCH_BYTES = 8 << 20
"""A batch should fit into the caches as a single call does: a draft writes to as many places as
there are calls in it, the reference to the same few again and again."""
BATCH_MOST = 256
PROCESS_SECONDS = 1.0
"""Time to spend on timed pairs in one process pair at one workload."""
REFERENCE_LIMIT = 600.0
"""Seconds after which a single call of the reference is given up."""
PAIRS_LEAST, PAIRS_CLEAR, PAIRS_MOST = 5, 7, 90
CLEAR_WIN = 1.5
"""Above this screened speedup `PAIRS_CLEAR` pairs tell as much as `PAIRS_MOST`."""
AUDIT_SHARE = 1 / 16
"""Share of timed outputs that get the full rule, chosen after the answer."""
AUDIT_SECONDS = 0.5
"""Time for these audits in one process pair at one workload; it bounds the share."""


@dataclass
class Plan:
    """One workload as it is measured.

    Attributes:
        workload: The problem size.
        calls: Inputs of the calibration draws, used for screening.
        native: Their results as the reference computes them.
        expected: Their full-rule expectations; empty where `smaller` takes their place.
        smaller: The full rule at smaller sizes, for a reference too slow for more.
        envelope: Band for outputs that are compared with a trusted native run.
        reference_seconds: Rough time of one reference call.
        allocation_seconds: Rough time of allocating its outputs, charged to variants.
        full_rule_seconds: Rough time of one application of the full rule.
        stressed: Calls of awkward values with their full-rule expectations.
        request_seconds: How long a timed request should last at least.
    """

    workload: Workload
    calls: list[Call]
    native: list[list[Array]]
    expected: list[Expected]
    smaller: SmallerCalibration | None
    envelope: Envelope
    reference_seconds: float
    allocation_seconds: float
    full_rule_seconds: float
    stressed: list[tuple[Call, Expected]] = field(default_factory=list)
    request_seconds: float = REQUEST_SECONDS

    def compare(self, contract: Contract, which: int, got: Sequence[Array]) -> Mismatch | None:
        """Hold results of one of `calls` against what they must be."""
        if self.smaller is None:
            return compare(contract, self.expected[which], got)
        return self.envelope.compare(contract, self.native[which], got)

    def is_audited(self, audited: int, outputs: int, rng: np.random.Generator) -> bool:
        """Whether the next timed output gets the full rule too; decided after it was given.

        Args:
            audited: How many had it in this confirmation; the first always gets it.
            outputs: How many outputs a process pair times.
            rng: Decides.
        """
        if self.smaller is not None:
            return False
        share = min(AUDIT_SHARE, AUDIT_SECONDS / (self.full_rule_seconds * outputs + 1e-9))
        return audited == 0 or rng.random() < share

    def batch(self, contract: Contract, variant_seconds: float) -> int:
        """Distinct inputs a timed request, so that it outlasts the channel's own cost."""
        read, written = bytes_of(contract, self.workload.sizes)
        wanted = ceil(self.request_seconds / max(variant_seconds, 1e-7))
        by_memory = BATCH_BYTES // max(1, read + written)
        by_reference = int(0.2 / max(self.reference_seconds, 1e-7))
        return max(1, min(wanted, by_memory, by_reference, BATCH_MOST))

    def pairs(self, batch: int, variant_seconds: float) -> int:
        """Timed pairs in one process pair: fewer as the runtime grows, and for a clear win."""
        one = batch * (self.reference_seconds + variant_seconds) + 2e-3
        is_clear = self.reference_seconds > CLEAR_WIN * variant_seconds
        most = PAIRS_CLEAR if is_clear else PAIRS_MOST
        return max(PAIRS_LEAST, min(most, int(PROCESS_SECONDS / one)))


def make_plan(
    reference: Reference, oracle: Oracle, workload: Workload, rng: np.random.Generator
) -> Plan:
    """Run the reference and the full rule at a workload.

    Raises:
        ContractError: The reference raises at this size, or its result is chaotic.
        UsageError: The workload does not fit into memory.
    """
    try:
        return _measured_plan(reference, oracle, workload, rng)
    except MemoryError as error:
        raise UsageError(
            f"workload {workload.name!r} of {reference.name} does not fit into the memory of this "
            f"machine ({error}); give it smaller sizes"
        ) from error


def _measured_plan(
    reference: Reference, oracle: Oracle, workload: Workload, rng: np.random.Generator
) -> Plan:
    call = draw_call(reference, workload, rng)
    begin = time.perf_counter()
    native = _run(reference, workload, lambda: oracle.native(call.values, call.sizes))
    seconds = time.perf_counter() - begin
    smaller = None
    if seconds > SLOW_SECONDS:
        smaller = calibrate_smaller(reference, oracle, workload, CALIBRATION_BUDGET, rng)
    if smaller is None or smaller.runs * seconds < FULL_RULE_SECONDS:
        return _plan_at_workload(reference, oracle, workload, call, rng)
    envelope = smaller.envelope(oracle, call, native, rng)
    _refuse_chaos(reference, workload, envelope.too_wide(reference.contract))
    times = _time_reference(reference, [call])
    full_rule = smaller.runs * times[0]
    return Plan(workload, [call], [native], [], smaller, envelope, *times, full_rule)


def _plan_at_workload(
    reference: Reference,
    oracle: Oracle,
    workload: Workload,
    call: Call,
    rng: np.random.Generator,
) -> Plan:
    """Calibrate with the full rule at the workload's own sizes, beginning with this call."""
    calls: list[Call] = []
    expected: list[Expected] = []
    spent = 0.0
    while len(calls) < CALIBRATIONS:
        given = dict(call.values)
        begin = time.perf_counter()
        band = _run(reference, workload, lambda: expect(oracle, given, dict(call.sizes), rng))  # noqa: B023
        spent += time.perf_counter() - begin
        _refuse_chaos(reference, workload, chaotic(reference.contract, band))
        calls.append(call)
        expected.append(band)
        if spent / len(calls) * (len(calls) + 1) > CALIBRATION_BUDGET:
            break
        call = draw_call(reference, workload, rng)
    native = [band.native for band in expected]
    envelope = Envelope.calibrate(expected)
    times = _time_reference(reference, calls)
    plan = Plan(workload, calls, native, expected, None, envelope, *times, spent / len(calls))
    plan.stressed += _stressed(reference, oracle, plan, rng)
    return plan


def _stressed(
    reference: Reference, oracle: Oracle, plan: Plan, rng: np.random.Generator
) -> list[tuple[Call, Expected]]:
    """Calls of awkward values where the reference is fast, at least one and more if they are cheap.

    Left out are values on which the reference raises or whose results are nothing but rounding.
    """
    if plan.reference_seconds > STRESSED_SECONDS:
        return []
    flavours = flavours_of(reference)[1:]
    affordable = max(1, int(STRESS_BUDGET / plan.full_rule_seconds))
    stressed = []
    for flavour in rng.permutation(np.array(flavours, dtype=str))[:affordable]:
        plain = Case.of_workload(plan.workload, int(rng.integers(2**62)))
        case = msgspec.structs.replace(plain, flavour=str(flavour))
        call = Call(case.sizes, draw_inputs(reference, case), case)
        try:
            band = expect(oracle, dict(call.values), dict(call.sizes), rng)
        except Exception:  # noqa: BLE001, S112  (outside the domain of the reference)
            continue
        if chaotic(reference.contract, band) is None:
            stressed.append((call, band))
    return stressed


def draw_call(reference: Reference, workload: Workload, rng: np.random.Generator) -> Call:
    """Fresh inputs at a workload's sizes."""
    case = Case.of_workload(workload, int(rng.integers(2**62)))
    return Call(workload.sizes, draw_inputs(reference, case), case)


def _run(reference: Reference, workload: Workload, call: Callable[[], _T]) -> _T:
    """What the call returns; what it raises becomes a `ContractError` that names the workload."""
    try:
        return call()
    except (ContractError, MemoryError):
        raise
    except Exception as error:
        raise ContractError(
            f"{reference.name} raises at workload {workload.name!r}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _refuse_chaos(reference: Reference, workload: Workload, reason: str | None) -> None:
    if reason is not None:
        raise ContractError(
            f"workload {workload.name!r} of {reference.name} cannot be judged: {reason}"
        )


def _time_reference(reference: Reference, calls: Sequence[Call]) -> tuple[float, float]:
    """Seconds of one call, and of allocating its outputs, in a process as it will be timed."""
    sizes = calls[0].sizes
    times: list[float] = []
    with reference_worker(reference, bytes_of(reference.contract, sizes)) as worker:
        while len(times) < 4 and sum(times) < 1.0:
            worker.prepare([calls[len(times) % len(calls)]])
            times.append(worker.run(REFERENCE_LIMIT))
        charge = worker.allocation_seconds(sizes)
    return median(times[1:] or times), charge


def reference_worker(
    reference: Reference, capacity: tuple[int, int], *, awaited: bool = True
) -> Worker:
    """A fresh process that runs the reference; `awaited` as for any `Worker`."""
    location = reference.importable()
    given = (reference.contract, Path.cwd(), capacity)
    if reference.residence is Residence.DEVICE:
        with_cupy = reference.with_cupy
        return DeviceWorker(*given, location=location, awaited=awaited, with_cupy=with_cupy)
    return Worker(*given, location=location, awaited=awaited)
