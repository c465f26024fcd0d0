"""Running a draft on a single case, to look at a counterexample again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.reference import Reference
from outpace.errors import UsageError
from outpace.kernels.gpu.device import device_missing
from outpace.kernels.languages.cuda import CUDA
from outpace.model import Draft, Scalar, Status, Trial, Variant
from outpace.tuner.evaluate import build_and_check
from outpace.tuner.numerics.acceptance import expect
from outpace.tuner.numerics.oracle import Oracle
from outpace.tuner.numerics.selfcheck import CheckedReference
from outpace.tuner.simgpu.check import check_cuda
from outpace.tuner.space import SearchSpace


def rerun(
    reference: Reference,
    draft: Draft,
    case: Case,
    params: Mapping[str, Scalar],
    *,
    accept_risk: bool = False,
) -> Trial | None:
    """Build one variant and hold it to the acceptance rule on one case; nothing is recorded.

    Args:
        reference: What it is a variant of.
        draft: What to run.
        case: Draws the inputs.
        params: Values of the draft's parameters; empty for the first of each.
        accept_risk: As `build_and_check` takes it.

    Returns:
        How it failed, or None where its results are accepted.

    Raises:
        UsageError: The reference raises on this case, or the draft cannot have these values.
        StorageError: There is no room for the build.
    """
    if draft.language == "mpi":
        raise UsageError("a draft for ranks cannot be run on a single case; judge it again")
    variant = _bound(draft, params)
    oracle = Oracle(reference)
    try:
        inputs = draw_inputs(reference, case)
        expected = expect(oracle, inputs, case.sizes, np.random.default_rng(case.seed))
    except Exception as error:
        raise UsageError(
            f"{reference.name} raises on the case {case.text}: {type(error).__name__}: {error}"
        ) from error
    checked = CheckedReference(reference, oracle, (case,), (expected,), (), (oracle.why,))
    if draft.language == CUDA.name and device_missing() is not None:
        trial = check_cuda(checked, variant, accept_risk=accept_risk, shrinks=False)
        return None if trial.status is Status.CHECKED else trial
    outcome = build_and_check(reference, checked, variant, accept_risk=accept_risk, shrinks=False)
    return outcome if isinstance(outcome, Trial) else None


def _bound(draft: Draft, params: Mapping[str, Scalar]) -> Variant:
    if params and not draft.parameters:
        raise UsageError("the draft has no parameters; leave them out")
    space = SearchSpace(draft.parameters, draft.constraints)
    chosen = params or {p.name: p.values[0] for p in draft.parameters}
    if not space.is_valid(space.point_of(chosen)):
        raise UsageError(f"the draft's constraints do not allow {dict(chosen)}; give others")
    return Variant(draft, dict(chosen))
