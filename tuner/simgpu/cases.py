"""The cases on which a draft is simulated: the drawn ones, and larger ones."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from outpace.codegen.dims import shape_of
from outpace.codegen.domain import allows
from outpace.codegen.inputs import Case, draw_inputs, independent_sizes, is_small
from outpace.model import Contract, Workload
from outpace.tuner.numerics.acceptance import Expected, expect
from outpace.tuner.numerics.selfcheck import CheckedReference

_LARGER = 3
"""Cases of sizes that several blocks of usual shapes are needed for."""
_SECONDS = 5.0
"""Time for the reference on these; what there is by then is enough."""
_ATTEMPTS = 200
_MOST_OF_WORKLOAD = 1 << 22
"""Elements of all arrays of a workload that is simulated as it is."""
_STEPS = 3
"""Time steps of a workload that is made smaller."""


@dataclass(frozen=True)
class Posed:
    """A case, and what its results must be."""

    case: Case
    expected: Expected


def posed_cases(checked: CheckedReference) -> list[Posed]:
    """The drawn cases, small ones first, then larger ones, the same for the same reference.

    Drawn extents end at 65, which one block can hold; mistakes between blocks show only beyond.
    """
    posed = [
        Posed(case, expected)
        for case, expected in zip(checked.cases, checked.expected, strict=True)
    ]
    deadline = time.monotonic() + _SECONDS
    for case in _larger(checked):
        try:
            posed.append(_posed(checked, case))
        except Exception:  # noqa: BLE001, S112  (the reference raises there: outside the domain)
            continue
        if time.monotonic() > deadline:
            break
    return posed


def demanding_cases(checked: CheckedReference) -> Iterator[Posed]:
    """Cases near the workloads that are larger than what is drawn: many blocks, and long loops.

    First the workload made smaller, until it is as large as the largest drawn cases, by a power of
    two and to odd extents; then the workload itself, where its arrays are not large.
    """
    contract, deadline = checked.reference.contract, time.monotonic() + _SECONDS
    for workload in contract.workloads:
        if is_small(contract, workload.sizes):
            continue
        found = [Case(sizes, seed=0) for sizes in _shrunk_workload(contract, workload)]
        if _elements(contract, workload.sizes) <= _MOST_OF_WORKLOAD:
            found.append(Case.of_workload(workload, seed=0))
        for case in found:
            if time.monotonic() > deadline:
                return
            try:
                yield _posed(checked, case)
            except Exception:  # noqa: BLE001  (the reference raises there: outside the domain)
                break


def _shrunk_workload(contract: Contract, workload: Workload) -> Iterator[dict[str, int]]:
    """At most one: odd extents if there may be any, and as few time steps as there may be."""
    for power in range(1, 64):
        even = {n: max(v >> power, 1) for n, v in workload.sizes.items() if n in contract.dims}
        odd = {n: v | 1 for n, v in even.items()}
        few = {n: min(workload.sizes[n], _STEPS) for n in (contract.steps,) if n is not None}
        for extents in (odd | few, odd, even):
            sizes = {**workload.sizes, **extents}
            if is_small(contract, sizes) and allows(contract, sizes):
                yield sizes
                return


def _posed(checked: CheckedReference, case: Case) -> Posed:
    inputs = draw_inputs(checked.reference, case)
    rng = np.random.default_rng(case.seed)
    return Posed(case, expect(checked.oracle, inputs, case.sizes, rng))


def _larger(checked: CheckedReference) -> Iterator[Case]:
    """Small workloads as they are, then the largest of some random sizes."""
    reference = checked.reference
    contract = reference.contract
    for workload in contract.workloads:
        if is_small(contract, workload.sizes):
            yield Case.of_workload(workload, seed=0)
    rng = np.random.default_rng(0)
    groups = independent_sizes(reference, _ATTEMPTS, rng, wide=True)
    found: dict[str, dict[str, int]] = {}
    for _ in range(_ATTEMPTS if all(groups) else 0):
        sizes: dict[str, int] = {}
        for group in groups:
            sizes |= group[int(rng.integers(len(group)))]
        if allows(contract, sizes) and is_small(contract, sizes):
            found[str(sizes)] = sizes
    largest = sorted(found.values(), key=lambda sizes: _elements(contract, sizes), reverse=True)
    for seed, sizes in enumerate(largest[:_LARGER]):
        yield Case(sizes, seed)


def _elements(contract: Contract, sizes: Mapping[str, int]) -> int:
    return sum(prod(shape_of(part.dims or (), sizes)) for part in contract.parts)
