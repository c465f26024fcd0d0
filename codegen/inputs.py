"""Drawing test cases and their input values from a contract.

A `Case` is a descriptor (sizes, seed, flavour of values), never the elements: it is a few bytes in
a journal and gives the same arrays again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from outpace.codec import Value
from outpace.codegen.dims import parse_dim, shape_of
from outpace.codegen.distributions import FLAVOURS, Distribution, default_distribution
from outpace.codegen.domain import allows
from outpace.codegen.reference import Reference
from outpace.errors import ContractError
from outpace.model import Argument, Contract, Workload

EXTENTS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 23, 31, 33, 64, 65)
"""Extents to draw: empty, one, primes, and powers of two with their neighbours."""
MAX_ELEMENTS = 40_000
"""Largest array of a drawn case; the reference may be a Python loop."""


class Case(Value, frozen=True):
    """How to draw the inputs of one call."""

    sizes: dict[str, int]
    seed: int
    flavour: str = "plain"
    scalars: dict[str, float] = {}

    @classmethod
    def of_workload(cls, workload: Workload, seed: int) -> Case:
        """Plain values at a workload's sizes."""
        return cls(workload.sizes, seed, "plain", workload.scalars)


def draw_inputs(reference: Reference, case: Case) -> dict[str, Any]:
    """Argument values by name, arrays C-contiguous, scalars as Python numbers.

    Raises:
        ContractError: The callable of `inputs` gave something that the annotation does not allow.
    """
    rng = np.random.Generator(np.random.SFC64(case.seed))
    given = reference.options.inputs
    made: Mapping[str, Any] = {}
    if callable(given):
        made = given(dict(case.sizes), rng)
        _refuse_unknown(reference.contract, made)
    distributions = given if isinstance(given, Mapping) else {}
    return {
        a.name: _adopt(a, made[a.name], case)
        if a.name in made
        else _draw(a, case, rng, distributions.get(a.name))
        for a in reference.contract.arguments
    }


def _refuse_unknown(contract: Contract, made: Mapping[str, Any]) -> None:
    unknown = set(made) - {a.name for a in contract.arguments}
    if unknown:
        raise ContractError(f"inputs(...) returned {sorted(unknown)}, which are no arguments")


def _draw(
    argument: Argument, case: Case, rng: np.random.Generator, distribution: Distribution | None
) -> Any:
    if argument.dims is None:
        if argument.name in case.sizes:
            return case.sizes[argument.name]
        if argument.name in case.scalars:
            return np.dtype(argument.dtype).type(case.scalars[argument.name]).item()
        chosen = distribution or default_distribution(argument.dtype)
        return chosen.draw(rng, (), argument.dtype).item()
    chosen = distribution or default_distribution(argument.dtype)
    shape = shape_of(argument.dims, case.sizes)
    if case.flavour == "plain":
        return chosen.draw(rng, shape, argument.dtype)
    return chosen.stress(rng, shape, argument.dtype, case.flavour)


def _adopt(argument: Argument, value: Any, case: Case) -> Any:
    """A value from the user's callable, checked against the annotation."""
    if argument.dims is None:
        scalar = np.asarray(value).item()
        if argument.name in case.sizes and scalar != case.sizes[argument.name]:
            raise ContractError(
                f"inputs(...) returned {argument.name}={scalar}, asked was "
                f"{case.sizes[argument.name]}"
            )
        return scalar
    array = np.asarray(value)
    expected = shape_of(argument.dims, case.sizes)
    if array.dtype.name != argument.dtype or array.shape != expected:
        raise ContractError(
            f"inputs(...) returned {argument.name} as {array.dtype.name}{array.shape}, "
            f"annotated is {argument.dtype}{expected}"
        )
    return np.ascontiguousarray(array).reshape(expected)


def draw_cases(reference: Reference, count: int, seed: int) -> list[Case]:
    """Small cases over awkward sizes and all flavours of values; no two of the same sizes and
    flavour. Fewer than `count` when the domain is small."""  # noqa: D205, D209
    rng = np.random.default_rng(seed)
    contract = reference.contract
    flavours = ("plain",) if callable(reference.options.inputs) else FLAVOURS
    cases: dict[tuple[Any, ...], Case] = {}
    for _ in range(500 * count):
        if len(cases) >= count:
            break
        sizes = _draw_sizes(contract, rng)
        if not allows(contract, sizes) or not _is_small(contract, sizes):
            continue
        flavour = flavours[len(cases) % len(flavours)]
        key = (*sizes.items(), flavour)
        cases.setdefault(key, Case(sizes, int(rng.integers(2**62)), flavour))
    return list(cases.values())


def _draw_sizes(contract: Contract, rng: np.random.Generator) -> dict[str, int]:
    """Awkward extents for dims; small counts and the workloads' own values for other ints."""
    used_as_dim = {
        n for part in contract.parts for dim in part.dims or () for n in parse_dim(dim).names
    }
    sizes: dict[str, int] = {}
    for name in contract.workloads[0].sizes:
        if name in used_as_dim:
            sizes[name] = int(rng.choice(EXTENTS))
        else:
            own = [w.sizes[name] for w in contract.workloads if abs(w.sizes[name]) <= 64]
            sizes[name] = int(rng.choice([0, 1, 2, 3, 4, *own, *own]))
    return sizes


def _is_small(contract: Contract, sizes: Mapping[str, int]) -> bool:
    shapes = [shape_of(p.dims or (), sizes) for p in contract.parts]
    return max((int(np.prod(s)) for s in shapes), default=0) <= MAX_ELEMENTS
