"""Calls that a draft which recognises what it is timed on would get wrong.

Timing repeats one size with values that have nothing in common. A draft could hold for that size
alone, or repeat an answer to inputs that look like earlier ones; both would be served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import msgspec
import numpy as np

from outpace.codegen.dims import shape_of
from outpace.codegen.domain import allows
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.reference import Reference
from outpace.model import Contract, Workload
from outpace.tuner.numerics.acceptance import Envelope, Expected, expect
from outpace.tuner.numerics.selfcheck import CheckedReference
from outpace.tuner.process import Call

GROWTH, GROWTH_SLOW = 2.0, 1.25
"""Most elements of a nearby call, relative to those of the workload; also for slow references."""
_NEARBY_SLACK = 4.0
"""How much wider the envelope of a workload is at a nearby size: errors grow with the size."""
_ATTEMPTS = 400


def draw_again(
    checked: CheckedReference, rng: np.random.Generator
) -> tuple[Case, dict[str, Any], Expected]:
    """One of the drawn cases with new values: the case, its inputs and what they must give."""
    position = int(rng.integers(len(checked.cases)))
    case = msgspec.structs.replace(checked.cases[position], seed=int(rng.integers(2**62)))
    inputs = draw_inputs(checked.reference, case)
    try:
        return case, inputs, expect(checked.oracle, inputs, case.sizes, rng)
    except Exception:  # noqa: BLE001  (the reference raises on these values; known ones must do)
        case = checked.cases[position]
        return case, draw_inputs(checked.reference, case), checked.expected[position]


def draw_nearby(
    reference: Reference,
    workload: Workload,
    bounds: tuple[float, float],
    rng: np.random.Generator,
    common: float = 0.25,
) -> Case | None:
    """A case of other sizes at which a promotion for this workload would be served.

    Dims are within 0.5 to 2 times those of the workload, int arguments (steps, say, over which
    errors grow) within 0.5 to 1.

    Args:
        reference: Whose domain is drawn from.
        workload: The confirmed sizes.
        bounds: Least and most elements of all arrays together, relative to the workload.
        rng: Draws sizes and seed.
        common: How often an extent is the half, the same or the double; where the domain holds few
            others, more often.

    Returns:
        None where the domain holds no such sizes, or none was found.
    """
    contract = reference.contract
    least, most = (bound * _elements(contract, workload.sizes) for bound in bounds)
    for attempt in range(_ATTEMPTS):
        share = common if attempt < _ATTEMPTS // 2 else 0.5
        sizes = {
            name: _near(n, 2 * n if name in contract.dims else n, share, rng)
            for name, n in workload.sizes.items()
        }
        if sizes == workload.sizes or not allows(contract, sizes):
            continue
        if least <= _elements(contract, sizes) <= most:
            return Case(sizes, int(rng.integers(2**62)), "plain", workload.scalars)
    return None


def _near(confirmed: int, most: int, common: float, rng: np.random.Generator) -> int:
    """Any size near the confirmed one, or one that divides it, or is divided by it."""
    least = confirmed - confirmed // 2
    if confirmed < 1:
        return confirmed
    if rng.random() < common:
        return int(rng.choice([least, confirmed, most]))
    return int(rng.integers(least, most + 1))


def _elements(contract: Contract, sizes: Mapping[str, int]) -> int:
    return sum(prod(shape_of(part.dims or (), sizes)) for part in contract.parts)


def nearby_envelope(envelope: Envelope) -> Envelope:
    """The envelope of a workload, widened for sizes near it."""
    return Envelope(
        tuple(
            limits
            and replace(
                limits, largest=_NEARBY_SLACK * limits.largest, rms=_NEARBY_SLACK * limits.rms
            )
            for limits in envelope.limits
        )
    )


def almost_same(
    reference: Reference, calls: Sequence[Call], turn: int, rng: np.random.Generator
) -> list[Call]:
    """As many calls, of which each differs in an element or two from the one before it.

    The first is almost the last of those given. By turns, starting at `turn`, an element takes a
    newly drawn value, or two change places, which leaves sums as they were. Scalars stay with their
    calls.
    """
    found: list[Call] = []
    arrays = _arrays(calls[-1])
    for position, call in enumerate(calls, turn):
        fresh = draw_inputs(reference, Case(dict(call.sizes), int(rng.integers(2**62))))
        if callable(reference.inputs):
            # What it gives may not be touched: it could be sorted, or go with a scalar.
            is_alike = all(fresh[n] == v for n, v in call.values.items() if n not in arrays)
            arrays = {n: fresh[n] for n in arrays} if is_alike else _arrays(call)
        else:
            arrays = _with_a_change(arrays, fresh, rng, exchanges=position % 2 == 0)
        found.append(Call(call.sizes, {**call.values, **arrays}))
    return found


def _arrays(call: Call) -> dict[str, Any]:
    return {name: v for name, v in call.values.items() if isinstance(v, np.ndarray)}


def _with_a_change(
    arrays: Mapping[str, Any],
    fresh: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    exchanges: bool,
) -> dict[str, Any]:
    """These arrays, one of them in a changed copy; all of them new if none has two elements."""
    names = [name for name, array in arrays.items() if array.size > 1]
    if not names:
        return {name: fresh[name] for name in arrays}
    name = str(rng.choice(names))
    changed = arrays[name].copy()
    flat = changed.reshape(-1)
    first, second = rng.choice(flat.size, 2, replace=False, shuffle=False)
    if exchanges:
        flat[[first, second]] = flat[[second, first]]
    else:
        flat[first] = fresh[name].reshape(-1)[first]
    return {**arrays, name: changed}
