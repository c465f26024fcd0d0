"""Drafts in CUDA are checked on the simulated GPU: on the drawn cases, by the rule of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from outpace.codegen.cuda import LaunchPlan, Resolved, resolve, split_plan
from outpace.codegen.cuda.prototype import launch_checks, launches
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.reference import Reference
from outpace.codegen.visible import hidden_character
from outpace.errors import DraftError
from outpace.kernels.languages import language_named
from outpace.model import Counterexample, Grade, Mismatch, Parameter, Status, Trial, Variant
from outpace.tuner.confirm import describe, describe_sizes
from outpace.tuner.evaluate import lowest_grade, trial_of, write_source
from outpace.tuner.numerics.acceptance import compare
from outpace.tuner.numerics.selfcheck import CheckedReference
from outpace.tuner.numerics.shrinking import shrunk
from outpace.tuner.process import Call, Failure
from outpace.tuner.simgpu.building import Build, build_program
from outpace.tuner.simgpu.cases import Posed, demanding_cases, posed_cases
from outpace.tuner.simgpu.simulation import Simulation, bytes_needed
from outpace.tuner.simgpu.source import Unsupported, device_file, launch_bounds, translation_unit

CASE_LIMIT = 20.0
"""Seconds for one simulated call on a small drawn case."""
ORDERS = 2
"""Orders of threads in which races are looked for on every case."""
DEMANDING_LIMIT = 10.0
"""Seconds for one near a workload; what takes longer there is left out."""
_BUFFER_BYTES = 1 << 30
"""Of the buffers of one simulated call."""


def check_cuda(
    checked: CheckedReference,
    variant: Variant,
    *,
    accept_risk: bool = False,
    shrinks: bool = True,
    limit: float = CASE_LIMIT,
) -> Trial:
    """Run a variant on the simulated GPU, on every drawn case and on a few larger ones.

    Each case is run in several orders of threads with every access recorded, then once under the
    sanitizers; those near the workloads once, if there is time, and only the first of them under
    the sanitizers. A pass is `checked`, which cannot be promoted.

    Args:
        checked: The reference, with the cases.
        variant: Of a draft in CUDA.
        accept_risk: Run what a model wrote even where isolation is weak.
        shrinks: Look for a simpler case than the one on which it was wrong.
        limit: Seconds for one call.

    Raises:
        EnvironmentError_: There is no C++ compiler.
        StorageError: There is no room for the build.
    """
    if (hidden := hidden_character(variant.draft.source)) is not None:
        reason = f"it holds a character that is not shown: {hidden}"
        return trial_of(variant, Status.INVALID, reason)
    try:
        sketch = _sketch(checked.reference, variant)
    except DraftError as error:
        return trial_of(variant, Status.INVALID, str(error))
    except Unsupported as error:
        return trial_of(variant, Status.INCONCLUSIVE, str(error))
    lowest = lowest_grade(variant.draft, accept_risk=accept_risk)
    language = language_named(variant.draft.language)
    folder = write_source(f"draft{language.suffix}", language.bind(variant))
    posed, demanding = posed_cases(checked), list(demanding_cases(checked))
    with folder as name:
        grade = Grade.A
        left_out = ""
        for build in Build:
            more = demanding if build is Build.RACES else demanding[: 0 if left_out else 1]
            check = _Check(
                checked, variant, sketch, posed, more, Path(name), build, lowest, limit, shrinks
            )
            ended = check.run()
            if ended is not None:
                return ended
            grade = max(grade, check.grade)
            left_out = left_out or check.left_out
    reason = (
        f"right in simulation on {len(posed)} cases, in {ORDERS} orders of threads and under the "
        f"sanitizers{left_out}; it was not timed, for which a GPU is needed"
    )
    return trial_of(variant, Status.CHECKED, reason, grade=grade)


@dataclass(frozen=True)
class _Sketch:
    """What a variant comes to before it is compiled."""

    device: str
    unit: str
    kernels: tuple[str, ...]
    plan: Callable[[Mapping[str, int]], Resolved]


def _sketch(reference: Reference, variant: Variant) -> _Sketch:
    """Read the plan, look for what is not simulated, and write the translation unit.

    Raises:
        DraftError: The plan is malformed, or names what there is not.
        Unsupported: The code uses something that is not simulated.
    """
    contract, params = reference.contract, variant.params
    plan, code = split_plan(variant.draft.source)
    kernels = tuple(dict.fromkeys(step.kernel for _, step in launches(plan.steps, "steps")))
    checks = launch_checks(plan, contract, params)
    bound = tuple(Parameter(name, (value,)) for name, value in params.items())
    device = device_file(code, bound)
    unit = translation_unit(bound, kernels, checks, launch_bounds(device))
    return _Sketch(device, unit, kernels, lambda sizes: _resolved(plan, sizes, reference, variant))


def _resolved(
    plan: LaunchPlan, sizes: Mapping[str, int], reference: Reference, variant: Variant
) -> Resolved:
    resolved = resolve(plan, sizes, variant.params, reference.contract)
    sizes_in_bytes = (prod(b.shape) * np.dtype(b.dtype).itemsize for b in resolved.buffers)
    if sum(sizes_in_bytes) > _BUFFER_BYTES:
        raise DraftError(f"buffers: they need more than {_BUFFER_BYTES >> 30} GiB in simulation")
    return resolved


@dataclass
class _Check:
    """One way of compiling a variant, and all cases under it."""

    checked: CheckedReference
    variant: Variant
    sketch: _Sketch
    posed: Sequence[Posed]
    demanding: Sequence[Posed]
    folder: Path
    build: Build
    lowest: Grade
    limit: float
    shrinks: bool
    grade: Grade = Grade.D
    left_out: str = ""
    _running: Case | None = None

    def run(self) -> Trial | None:
        """What ends the check of this variant, or None where every case is right."""
        try:
            return self._run()
        except Failure as failure:
            case = self._running
            at = "" if case is None else f" (at {describe_sizes(case)})"
            return trial_of(
                self.variant,
                failure.status,
                failure.reason + at,
                grade=failure.grade,
                counterexample=None if case is None else case.counterexample(None),
                details=failure.details,
            )

    def _run(self) -> Trial | None:
        reference, sketch = self.checked.reference, self.sketch
        program = build_program(
            sketch.unit, sketch.device, sketch.kernels, self.folder, self.build, self.lowest
        )
        contract = reference.contract
        cases = [p.case for p in (*self.posed, *self.demanding)]
        room = max(bytes_needed(contract, case.sizes, sketch.plan) for case in cases)
        with Simulation(program, contract, sketch.plan, room, lowest=self.lowest) as simulation:
            self.grade = simulation.grade
            orders = ORDERS if self.build is Build.RACES else 1
            for position, posed in enumerate(self.posed):
                self._running = posed.case
                for order in range(orders):
                    simulation.seed = position * orders + order
                    mismatch = self._mismatch(simulation, posed, self.limit)
                    if mismatch is not None:
                        return self._wrong(simulation, posed.case, mismatch)
            ended = self._demanding(simulation)
        self._running = None
        return ended

    def _demanding(self, simulation: Simulation) -> Trial | None:
        """The cases near the workloads, until one takes too long."""
        simulation.seed = len(self.posed) * ORDERS + 1
        for posed in self.demanding:
            self._running = posed.case
            try:
                mismatch = self._mismatch(simulation, posed, DEMANDING_LIMIT)
            except Failure as failure:
                if failure.status is not Status.TIMEOUT:
                    raise
                self.left_out = f"; too slow to be simulated at {describe_sizes(posed.case)}"
                return None
            if mismatch is not None:
                return self._wrong(simulation, posed.case, mismatch)
        return None

    def _mismatch(self, simulation: Simulation, posed: Posed, limit: float) -> Mismatch | None:
        reference, case = self.checked.reference, posed.case
        simulation.prepare([Call(case.sizes, draw_inputs(reference, case))])
        simulation.run(limit)
        return compare(reference.contract, posed.expected, simulation.results())

    def _wrong(self, simulation: Simulation, case: Case, mismatch: Mismatch) -> Trial:
        found: Counterexample = case.counterexample(mismatch)
        remark = simulation.remark
        if self.shrinks:
            found = shrunk(self.checked.oracle, simulation, case, mismatch)
        assert found.mismatch is not None
        sizes = describe_sizes(Case.of_counterexample(found))
        reason = f"wrong at {sizes}: {describe(found.mismatch)}"
        if remark is not None:
            reason = f"{reason}; {remark}"
        return trial_of(
            self.variant, Status.WRONG, reason, grade=simulation.grade, counterexample=found
        )
