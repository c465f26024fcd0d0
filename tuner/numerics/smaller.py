"""Calibration at smaller sizes, where the full rule would take minutes at a workload's own.

The full rule costs tens of runs of the reference. For a reference that takes seconds, an envelope
is calibrated at the largest affordable smaller sizes instead, and widened by how much more the
workload amplifies rounding errors: measured with a few perturbed native runs at both sizes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np

from outpace.codegen.contract import size_names
from outpace.codegen.domain import allows, reduction_length
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.reference import Reference
from outpace.model import Workload
from outpace.tuner.numerics.acceptance import Array, Envelope, Expected, expect
from outpace.tuner.numerics.oracle import Oracle
from outpace.tuner.numerics.perturbation import native_shift
from outpace.tuner.process import Call

HALVINGS = 7
"""Smallest sizes tried: those of the workload over 2**7."""
LEAST_SIZE = 8
"""Sizes are not made smaller than this, unless they are."""
STEEPEST = 16.0
"""Growth in time expected of the first step up: three dims and a number of steps are doubled."""


PERTURBED_RUNS = 3
"""Of the reference at the workload. In one alone, a few inputs may be rounded back to what they
were."""


@dataclass(frozen=True)
class SmallerCalibration:
    """The full rule at smaller sizes than the workload's.

    Attributes:
        case: Describes the call.
        call: Its inputs.
        expected: What the full rule says of it.
        runs: Time of the full rule over that of the reference alone.
    """

    case: Case
    call: Call
    expected: Expected
    runs: float

    def envelope(
        self,
        oracle: Oracle,
        call: Call,
        native: list[Array],
        rng: np.random.Generator,
    ) -> Envelope:
        """Limits for a call at the workload's sizes.

        The band of the acceptance rule is made of the errors that the reference amplifies, times
        the square root of the reduction length. Both are larger at larger sizes.

        Args:
            oracle: Of the reference.
            call: At the workload's sizes.
            native: What the reference gives for it.
            rng: Draws the perturbation.
        """
        contract = oracle.contract
        far = _amplified(oracle, call, native, rng)
        near = _amplified(oracle, self.call, self.expected.native, rng)
        longer = reduction_length(contract, call.sizes) / reduction_length(
            contract, self.call.sizes
        )
        # Without inputs to perturb, errors are taken to add up in the worst way.
        amplified = [f / n if n > 0 else max(1.0, longer) for f, n in zip(far, near, strict=True)]
        growth = [max(1.0, a) * sqrt(max(1.0, longer)) for a in amplified]
        return Envelope.calibrate([self.expected]).widened(growth)


def calibrate_smaller(
    reference: Reference,
    oracle: Oracle,
    workload: Workload,
    budget: float,
    rng: np.random.Generator,
) -> SmallerCalibration | None:
    """Apply the full rule at growing sizes until the next would take more than `budget` seconds.

    Returns:
        The result at the largest sizes reached; None where no smaller sizes are in the domain.
    """
    found: SmallerCalibration | None = None
    before = 0.0
    for sizes in smaller_sizes(reference, workload):
        case = Case(sizes, int(rng.integers(2**62)), "plain", workload.scalars)
        inputs = draw_inputs(reference, case)
        begin = time.perf_counter()
        try:
            expected = expect(oracle, dict(inputs), dict(sizes), rng)
        except Exception:  # noqa: BLE001, S112  (sizes at which it raises calibrate nothing)
            continue
        middle = time.perf_counter()
        oracle.native(inputs, sizes)
        full, alone = middle - begin, time.perf_counter() - middle
        found = SmallerCalibration(case, Call(sizes, inputs), expected, full / max(alone, 1e-9))
        if full * max(2.0, full / before if before else STEEPEST) > budget:
            break
        before = full
    return found


def smaller_sizes(reference: Reference, workload: Workload) -> list[dict[str, int]]:
    """Sizes below a workload's: all sizes halved again and again, or only the dims, or only the
    int arguments, where `where` allows no more; and those of the other workloads. By growing work.
    """  # noqa: D205
    contract = reference.contract
    whole, names = workload.sizes, size_names(contract)
    arguments = {a.name for a in contract.arguments if a.dims is None}
    scaled = [other.sizes for other in contract.workloads]
    for halvings in range(1, HALVINGS + 1):
        for part in (names, [n for n in names if n not in arguments], arguments):
            sizes = {n: _halved(s, halvings) if n in part else s for n, s in whole.items()}
            if allows(contract, sizes):
                scaled.append(sizes)
                break
    less = [s for s in scaled if _work(s) < _work(whole)]
    unique = {tuple(s.items()): s for s in less}
    return sorted(unique.values(), key=_work)


def _halved(size: int, times: int) -> int:
    return max(size >> times, min(size, LEAST_SIZE))


def _work(sizes: dict[str, int]) -> int:
    return prod(max(1, size) for size in sizes.values())


def _amplified(
    oracle: Oracle, call: Call, native: list[Array], rng: np.random.Generator
) -> list[float]:
    """How far each result moves when the inputs are perturbed, relative to its size."""
    shifts = native_shift(oracle, call.values, call.sizes, rng, native, PERTURBED_RUNS)
    moved = []
    for shift, result in zip(shifts, native, strict=True):
        finite = np.isfinite(result) if result.dtype.kind in "fc" else np.zeros(0, bool)
        if not finite.any():
            moved.append(0.0)
            continue
        size = float(np.sqrt(np.mean(np.abs(result[finite]).astype(np.float64) ** 2)))
        shift_size = float(np.sqrt(np.mean(shift[finite].astype(np.float64) ** 2)))
        moved.append(shift_size / (size or 1.0))
    return moved
