"""Rehearsal: a finalist is called once as it will be served, before it may be promoted.

A draft can recognise the process in which it is checked and timed, and be right there alone. Here
it meets one that looks like a user's: none of the judge's modules, frames or arguments, the
generated dispatcher, and arrays from NumPy, nothing poisoned and no margins around them.

With arrays on a GPU no code of a draft runs on the host. What runs on the device could still know
the judge's arrays by their margins and poison: it is called by the code that serves, with arrays
from CuPy as a user has them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from outpace.kernels.serve import returns_of
from outpace.model import Residence, Status
from outpace.tuner.confirm import Confirmation, Wrong, describe_sizes
from outpace.tuner.contenders import Contender
from outpace.tuner.gpu.process import DeviceWorker
from outpace.tuner.numerics.acceptance import compare
from outpace.tuner.numerics.selfcheck import CheckedReference
from outpace.tuner.numerics.unseen import draw_again
from outpace.tuner.plan import Plan
from outpace.tuner.process import Call, Failure, Worker, capacity_for

CALL_LIMIT = 60.0
"""Seconds for one call, besides 100 times what the reference takes; it may compile."""
DRAWN = 4
"""Freshly drawn small cases, before and after the workload's calls."""


def rehearsed(
    checked: CheckedReference,
    plans: Sequence[Plan],
    finalist: Contender,
    results: Sequence[Confirmation],
) -> list[Confirmation]:
    """What is left of confirmations after a rehearsal.

    Args:
        checked: The reference.
        plans: Its workloads.
        finalist: What was confirmed; it is not run where it is nowhere faster.
        results: What confirming it gave. Where it is faster, a rehearsal that fails takes the
            place of that.
    """
    faster = {result.workload.name for result in results if result.status is Status.FASTER}
    if not faster:
        return list(results)
    try:
        _rehearse(checked, [plan for plan in plans if plan.workload.name in faster], finalist)
    except Wrong as wrong:
        status, reason, details = Status.WRONG, str(wrong), ""
        counterexample = wrong.counterexample
    except Failure as failure:
        status, reason, details = failure.status, failure.reason, failure.details
        counterexample = None
    else:
        return list(results)
    reason = f"when called as it will be served: {reason}"
    return [
        Confirmation(
            result.workload,
            status,
            reason,
            counterexample=counterexample,
            details=details,
            grade=result.grade,
        )
        if result.workload.name in faster
        else result
        for result in results
    ]


def _rehearse(checked: CheckedReference, plans: Sequence[Plan], finalist: Contender) -> None:
    """Call it at small sizes, at every workload, and at small sizes again.

    Raises:
        Wrong: A result is not what it must be.
        Failure: The process did not give one.
    """
    with _process(checked, plans, finalist) as worker:
        rng = np.random.default_rng()
        first = int(rng.integers(DRAWN + 1))  # a user's first call may be any
        for _ in range(first):
            _call_drawn(checked, worker, rng)
        for plan in plans:
            _call_at_workload(checked, worker, plan)
        for _ in range(first, DRAWN):
            _call_drawn(checked, worker, rng)


def _process(checked: CheckedReference, plans: Sequence[Plan], finalist: Contender) -> Worker:
    reference, contract = checked.reference, checked.reference.contract
    sizes = [case.sizes for case in checked.cases] + [plan.workload.sizes for plan in plans]
    capacity = capacity_for(contract, [(1, s) for s in sizes])
    returns = returns_of(reference)
    if reference.residence is Residence.DEVICE:
        return DeviceWorker(
            *(contract, finalist.folder, capacity),
            timed=False,
            served=returns,
            variant=finalist.variant,
        )
    return Worker(contract, finalist.folder, capacity, variant=finalist.variant, rehearsed=returns)


def _call_drawn(checked: CheckedReference, worker: Worker, rng: np.random.Generator) -> None:
    case, inputs, expected = draw_again(checked, rng)
    worker.prepare([Call(case.sizes, inputs)])
    worker.run(CALL_LIMIT)
    mismatch = compare(checked.reference.contract, expected, worker.results())
    if mismatch is not None:
        raise Wrong(describe_sizes(case), case, mismatch)


def _call_at_workload(checked: CheckedReference, worker: Worker, plan: Plan) -> None:
    """The calls of its calibration: they are new to the process, and what they give is known."""
    for which, call in enumerate(plan.calls):
        worker.prepare([call])
        worker.run(CALL_LIMIT + 100 * plan.reference_seconds)
        mismatch = plan.compare(checked.reference.contract, which, worker.results())
        if mismatch is not None:
            raise Wrong(f"workload {plan.workload.name!r}", call.case, mismatch)
