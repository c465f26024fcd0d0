"""What is measured at one workload: trusted outputs, the envelope, and how much to time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Any

import numpy as np

from outpace.codegen.abi import output_shapes
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.reference import Reference
from outpace.errors import ContractError
from outpace.model import Contract, Workload
from outpace.tuner.acceptance import Envelope, Expected, chaotic, expect
from outpace.tuner.oracle import Oracle
from outpace.tuner.process import Call, bytes_of

CALIBRATIONS = 3
"""Inputs on which the full rule calibrates the envelope, where the budget allows."""
CALIBRATION_BUDGET = 20.0
"""Seconds for the full rule at one workload; beyond it one input must do."""
REQUEST_SECONDS = 2e-3
"""A timed request should last this long, so that the channel costs about 1% of it."""
BATCH_BYTES = 128 << 20
BATCH_MOST = 256
PROCESS_SECONDS = 0.7
"""Time to spend on timed pairs in one process pair at one workload."""
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
        full_rule_seconds: Rough time of one application of the full rule.
    """

    workload: Workload
    calls: list[Call]
    expected: list[Expected]
    envelope: Envelope
    reference_seconds: float
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
    """
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
    return Plan(
        workload,
        calls,
        expected,
        Envelope.calibrate(expected),
        _reference_seconds(oracle, calls[0]),
        spent / len(calls),
    )


def draw_call(reference: Reference, workload: Workload, rng: np.random.Generator) -> Call:
    """Fresh inputs at a workload's sizes."""
    case = Case.of_workload(workload, int(rng.integers(2**62)))
    return Call(workload.sizes, draw_inputs(reference, case))


def _expect(
    reference: Reference, oracle: Oracle, workload: Workload, call: Call, rng: np.random.Generator
) -> Expected:
    try:
        return expect(oracle, dict(call.values), dict(call.sizes), rng)
    except ContractError:
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


def _reference_seconds(oracle: Oracle, call: Call) -> float:
    times: list[float] = []
    while len(times) < 3 and sum(times) < 1.0:
        begin = time.perf_counter()
        oracle.native(dict(call.values), dict(call.sizes))
        times.append(time.perf_counter() - begin)
    return median(times)


def allocation_seconds(contract: Contract, workload: Workload) -> float:
    """What allocating the returned outputs costs a caller: mapping and first touch.

    Measured as filling fresh arrays less filling the same arrays again, median of 5.
    """
    shapes = output_shapes(contract, workload.sizes)
    kinds = [o.dtype for o in contract.outputs]
    costs = []
    for _ in range(5):
        begin = time.perf_counter()
        arrays: list[Any] = [np.empty(s, k) for s, k in zip(shapes, kinds, strict=True)]
        for array in arrays:
            array.fill(0)
        middle = time.perf_counter()
        for array in arrays:
            array.fill(0)
        costs.append((middle - begin) - (time.perf_counter() - middle))
        del arrays
    return max(0.0, median(costs))
