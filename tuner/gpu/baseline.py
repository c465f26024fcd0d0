"""What a kernel on a GPU must beat: the reference under CuPy, where it runs and is right."""

from __future__ import annotations

from pathlib import Path

from outpace.codegen.inputs import draw_inputs
from outpace.model import Mismatch
from outpace.tuner.confirm import describe, describe_sizes
from outpace.tuner.gpu.process import DeviceWorker
from outpace.tuner.numerics.acceptance import compare
from outpace.tuner.numerics.selfcheck import CheckedReference
from outpace.tuner.process import Call, Failure, capacity_for

_CALL_LIMIT = 30.0
"""Seconds for a call at a small size, in which CuPy compiles what it has not compiled before."""


def why_not_cupy(checked: CheckedReference) -> str | None:
    """Run the reference under CuPy on every drawn case; None where it gives what it must.

    Else what stands in the way, for a person: it is then run on the host, with its arrays carried
    there and back.
    """
    reference = checked.reference
    contract = reference.contract
    capacity = capacity_for(contract, [(1, case.sizes) for case in checked.cases])
    try:
        with DeviceWorker(
            *(contract, Path.cwd(), capacity), location=reference.importable(), timed=False
        ) as worker:
            for case, expected in zip(checked.cases, checked.expected, strict=True):
                worker.prepare([Call(case.sizes, draw_inputs(reference, case))])
                worker.run(_CALL_LIMIT)
                worker.publish()
                mismatch: Mismatch | None = compare(contract, expected, worker.results())
                if mismatch is not None:
                    return f"wrong at {describe_sizes(case)}: {describe(mismatch)}"
    except Failure as failure:
        return failure.reason
    return None
