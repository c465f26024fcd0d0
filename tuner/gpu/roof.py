"""What the card reaches, measured once in a process of its own, and where trials stand under it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from outpace.codec import decode
from outpace.codegen.cuda import Declared, declared, split_plan
from outpace.codegen.feedback import moved_bytes
from outpace.codegen.nests.operations import Operations, operations_of
from outpace.codegen.reference import Reference
from outpace.codegen.visible import shown
from outpace.errors import CodecError, DraftError, EnvironmentError_
from outpace.kernels.gpu.roofline import Roof
from outpace.model import Argument, Contract, Output, Variant, Workload
from outpace.roofline import Counted, Roofline

_SCRIPT = (
    "import sys; sys.path[:] = {path!r}; from outpace.codec import encode; "
    "from outpace.kernels.gpu.roofline import measure_roof; print(encode(measure_roof()).decode())"
)
_LIMIT = 120.0
FAR = 2
"""Times a known figure, beyond which one that a draft declares is remarked on."""


@lru_cache(maxsize=1)
def measured_roof() -> Roof:
    """Copy bandwidth and arithmetic rates; takes some seconds the first time.

    Raises:
        EnvironmentError_: They cannot be measured.
    """
    command = [sys.executable, "-c", _SCRIPT.format(path=sys.path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
        return decode(done.stdout, Roof)
    except subprocess.TimeoutExpired as error:
        raise EnvironmentError_(f"the GPU copies nothing within {_LIMIT:.0f} s") from error
    except CodecError as error:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise EnvironmentError_(
            f"the bandwidth of the GPU cannot be measured: {said[-1]}"
        ) from error


def position(
    reference: Reference, variant: Variant, workload: Workload, seconds: float
) -> Roofline | None:
    """Where a time stands; None where the roof cannot be measured.

    Bytes are those of the contract, operations those of the nests that the reference is lifted to.
    Where it is not, they are what the draft declares, and labelled so.

    Args:
        reference: With its contract.
        variant: What was timed.
        workload: At which.
        seconds: Of one call.
    """
    try:
        roof = measured_roof()
    except EnvironmentError_:
        return None
    contract = reference.contract
    moved = moved_bytes(contract, workload)
    found = operations_of(reference, workload.sizes)
    told, fault = _declared(variant, contract, workload)
    arithmetic, counted = _arithmetic(found, told, contract)
    operations = None if counted is None else sum(arithmetic.values())
    least = roof.least_seconds(moved, arithmetic) if counted is not None else None
    return Roofline(
        moved,
        moved / seconds,
        moved / seconds / roof.bandwidth,
        operations,
        None if found is None else found.functions,
        counted,
        operations / moved if operations is not None and moved else None,
        None if least is None else least[0],
        None if least is None else least[1] / seconds,
        None if told is None else told.moved,
        None if told is None else told.operations,
        fault or _remark(told, moved, found),
    )


def _arithmetic(
    found: Operations | None, told: Declared | None, contract: Contract
) -> tuple[Mapping[str, int], Counted | None]:
    """Operations by dtype, and who says so."""
    if found is not None:
        return found.arithmetic, Counted.NESTS
    if told is None or told.operations is None:
        return {}, None
    # A draft does not tell in which dtype: it is known where the contract has one alone.
    return {_precision(contract): told.operations}, Counted.DECLARED


def _precision(contract: Contract) -> str:
    """The only floating dtype among arguments and outputs, real parts of complex ones; else ``""``,
    of which no rate is known."""  # noqa: D205, D209
    parts: tuple[Argument | Output, ...] = (*contract.arguments, *contract.outputs)
    dtypes = [np.dtype(part.dtype) for part in parts]
    floats = {d.type(0).real.dtype.name for d in dtypes if d.kind in "fc"}
    return floats.pop() if len(floats) == 1 else ""


def _declared(
    variant: Variant, contract: Contract, workload: Workload
) -> tuple[Declared | None, str]:
    """What a draft declares, or why that cannot be told."""
    try:
        plan, _ = split_plan(variant.draft.source)
        return declared(plan, workload.sizes, variant.params, contract), ""
    except DraftError as error:
        return None, f"what the draft declares has no value: {shown(str(error))}"


def _remark(told: Declared | None, moved: int, found: Operations | None) -> str:
    """Where a draft's own figures are far from what is known; more bytes may well be moved."""
    if told is None:
        return ""
    said = []
    if told.moved is not None and FAR * told.moved < moved:
        said.append(f"the draft declares {told.moved:,} bytes, and {moved:,} must move")
    if told.operations is not None and found is not None:
        low, high = sorted((told.operations, found.total))
        if FAR * low < high:
            said.append(
                f"the draft declares {told.operations:,} operations, the reference does "
                f"{found.total:,}"
            )
    return "; ".join(said)
