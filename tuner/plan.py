"""What is measured at one workload: trusted outputs, the envelope, and how much to time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median

import numpy as np

from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.reference import Reference
from outpace.errors import ContractError, UsageError
from outpace.model import Contract, Workload
from outpace.tuner.acceptance import Envelope, Expected, chaotic, expect
from outpace.tuner.oracle import Oracle
from outpace.tuner.process import Call, Worker, bytes_of

CALIBRATIONS = 3
"""Inputs on which the full rule calibrates the envelope, where the budget allows."""
CALIBRATION_BUDGET = 20.0
"""Seconds for the full rule at one workload; beyond it one input must do."""
REQUEST_SECONDS = 2e-3
"""A timed request should last this long, so that the channel costs about 1% of it."""
BATCH_BYTES = 8 << 20
"""A batch should fit into the caches as a single call does: a draft writes to as many places as
there are calls in it, the reference to the same few again and again."""
BATCH_MOST = 256
PROCESS_SECONDS = 0.7
"""Time to spend on timed pairs in one process pair at one workload."""
REFERENCE_LIMIT = 600.0
"""Seconds after which a single call of the reference is given up."""
PAIRS_LEAST, PAIRS_CLEAR, PAIRS_MOST = 5, 7, 30
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
        expected: Their full-rule expectations.
        envelope: Band for outputs that are compared with a trusted native run.
        reference_seconds: Rough time of one reference call.
        allocation_seconds: Rough time of allocating its outputs, charged to variants.
        full_rule_seconds: Rough time of one application of the full rule.
    """

    workload: Workload
    calls: list[Call]
    expected: list[Expected]
    envelope: Envelope
    reference_seconds: float
    allocation_seconds: float
    full_rule_seconds: float

    def audit_share(self, outputs: int) -> float:
        """Probability with which each of `outputs` timed outputs gets the full rule."""
        return min(AUDIT_SHARE, AUDIT_SECONDS / (self.full_rule_seconds * outputs + 1e-9))

    def batch(self, contract: Contract, variant_seconds: float) -> int:
        """Distinct inputs a timed request, so that it outlasts the channel's own cost."""
        read, written = bytes_of(contract, self.workload.sizes)
        wanted = ceil(REQUEST_SECONDS / max(variant_seconds, 1e-7))
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
    calls, expected = [], []
    spent = 0.0
    for done in range(CALIBRATIONS):
        if done and spent / done * (done + 1) > CALIBRATION_BUDGET:
            break
        call = draw_call(reference, workload, rng)
        begin = time.perf_counter()
        band = _expect(reference, oracle, workload, call, rng)
        spent += time.perf_counter() - begin
        _refuse_chaos(reference, workload, band)
        calls.append(call)
        expected.append(band)
    envelope = Envelope.calibrate(expected)
    seconds, allocation = _time_reference(reference, calls)
    return Plan(workload, calls, expected, envelope, seconds, allocation, spent / len(calls))


def draw_call(reference: Reference, workload: Workload, rng: np.random.Generator) -> Call:
    """Fresh inputs at a workload's sizes."""
    case = Case.of_workload(workload, int(rng.integers(2**62)))
    return Call(workload.sizes, draw_inputs(reference, case))


def _expect(
    reference: Reference, oracle: Oracle, workload: Workload, call: Call, rng: np.random.Generator
) -> Expected:
    try:
        return expect(oracle, dict(call.values), dict(call.sizes), rng)
    except (ContractError, MemoryError):
        raise
    except Exception as error:
        raise ContractError(
            f"{reference.name} raises at workload {workload.name!r}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _refuse_chaos(reference: Reference, workload: Workload, band: Expected) -> None:
    reason = chaotic(reference.contract, band)
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


def reference_worker(reference: Reference, capacity: tuple[int, int]) -> Worker:
    """A fresh process that runs the reference."""
    return Worker(reference.contract, Path.cwd(), capacity, location=reference.importable())
