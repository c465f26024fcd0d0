"""Drawing test cases and their input values from a contract.

A `Case` is a descriptor (sizes, seed, flavour of values), never the elements: it is a few bytes in
a journal and gives the same arrays again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from outpace.codec import Value
from outpace.codegen.contract import size_names
from outpace.codegen.dims import parse_dim, shape_of
from outpace.codegen.distributions import FLAVOURS, Distribution, default_distribution
from outpace.codegen.domain import EXISTENTIAL, allows, free_names, holds
from outpace.codegen.reference import Reference
from outpace.errors import ContractError
from outpace.model import Argument, Contract, Workload

EXTENTS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 23, 31, 33, 64, 65)
"""Extents to draw: empty, one, primes, and powers of two with their neighbours."""
WIDE_EXTENTS = (*range(66), 96, 100, 127, 128, 129, 192, 255, 256, 257, 320, 384, 512)
"""Extents to draw where `where` allows few of the others."""
COUNTS = tuple(range(5))
"""Values to draw for an int argument that is no extent, such as a number of steps."""
WIDE_COUNTS = tuple(range(17))
"""The same where `where` allows few of the others."""
MAX_ELEMENTS = 40_000
"""Largest array of a drawn case; the reference may be a Python loop."""
_ATTEMPTS = 50
"""Combinations of sizes looked at for one case, most of which may be too large or were drawn."""
_EVALUATIONS = 60_000
"""How often `where` may be evaluated for a list of combinations, a few tens of milliseconds."""


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
    """Argument values by name: arrays C-contiguous, scalars as a caller passes them.

    Scalars are Python numbers, or NumPy ones where a narrower type is annotated.

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


def _refuse_unknown(contract: Contract, made: Any) -> None:
    if not isinstance(made, Mapping):
        raise ContractError(
            f"inputs(...) returned a {type(made).__name__}; return a dict of values by argument"
        )
    unknown = set(made) - {a.name for a in contract.arguments}
    if unknown:
        raise ContractError(f"inputs(...) returned {sorted(unknown)}, which are no arguments")


def _draw(
    argument: Argument, case: Case, rng: np.random.Generator, distribution: Distribution | None
) -> Any:
    chosen = distribution or default_distribution(argument.dtype)
    if argument.dims is None:
        fixed = {**case.sizes, **case.scalars}
        given = argument.name in fixed
        value = fixed[argument.name] if given else chosen.draw(rng, (), argument.dtype).item()
        return _scalar(argument.dtype, value)
    shape = shape_of(argument.dims, case.sizes)
    if case.flavour == "plain":
        return chosen.draw(rng, shape, argument.dtype)
    return chosen.stress(rng, shape, argument.dtype, case.flavour)


def _scalar(dtype: str, value: Any) -> Any:
    """A Python number, or a NumPy one of a type that Python does not have."""
    exact = np.dtype(dtype).type(value)
    return exact.item() if dtype in ("bool", "int64", "float64", "complex128") else exact


def _adopt(argument: Argument, value: Any, case: Case) -> Any:
    """A value from the user's callable, checked against the annotation."""
    array = np.asarray(value)
    if argument.dims is None:
        if array.shape != () or not np.can_cast(array.dtype, argument.dtype, "same_kind"):
            raise ContractError(
                f"inputs(...) returned {argument.name}={value!r}, annotated is {argument.dtype}"
            )
        scalar = array.item()
        if scalar != case.sizes.get(argument.name, scalar):
            raise ContractError(
                f"inputs(...) returned {argument.name}={scalar}, asked was "
                f"{case.sizes[argument.name]}"
            )
        return _scalar(argument.dtype, scalar)
    expected = shape_of(argument.dims, case.sizes)
    if array.dtype != np.dtype(argument.dtype) or array.shape != expected:
        raise ContractError(
            f"inputs(...) returned {argument.name} as {array.dtype.name}{array.shape}, "
            f"annotated is {argument.dtype}{expected}"
        )
    return np.ascontiguousarray(array).reshape(expected)


def draw_cases(reference: Reference, count: int, seed: int) -> list[Case]:
    """Small cases over awkward sizes and all flavours of values.

    Args:
        reference: Whose domain is drawn from.
        count: How many; fewer are drawn when the domain is small.
        seed: The same seed gives the same cases.

    Returns:
        Cases of which no two have the same sizes and flavour. A size that `where` does not name
        takes each of its values once before it takes one again, so that 24 cases hold an empty, a
        one-element and a large extent.
    """
    rng = np.random.default_rng(seed)
    contract = reference.contract
    flavours = ("plain",) if callable(reference.options.inputs) else FLAVOURS
    names = size_names(contract)
    decks = [_Deck(cards, rng) for cards in _independent(reference, count / len(flavours), rng)]
    cases: dict[tuple[Any, ...], Case] = {}
    for _ in range(_ATTEMPTS * count if all(deck.cards for deck in decks) else 0):
        if len(cases) >= count:
            break
        dealt = {name: size for deck in decks for name, size in deck.deal().items()}
        sizes = {name: dealt[name] for name in names}
        if allows(contract, sizes) and _is_small(contract, sizes):
            flavour = flavours[len(cases) % len(flavours)]
            key = (*sizes.values(), flavour)
            cases.setdefault(key, Case(sizes, int(rng.integers(2**62)), flavour))
    return list(cases.values())


class _Deck:
    """Deals each of its cards once, in random order, before it deals one again."""

    def __init__(self, cards: Sequence[dict[str, int]], rng: np.random.Generator) -> None:
        self.cards = cards
        self._rng = rng
        self._order: list[int] = []

    def deal(self) -> dict[str, int]:
        if not self._order:
            self._order = self._rng.permutation(len(self.cards)).tolist()
        return self.cards[self._order.pop()]


def _independent(
    reference: Reference, needed: float, rng: np.random.Generator
) -> list[list[dict[str, int]]]:
    """For each group of sizes that can be chosen apart from the others, all choices.

    The sizes that `where` names are one group, each other size is one of its own. Where there are
    fewer than the needed combinations of choices, `where` is tried on a wider range.
    """
    where, names = reference.contract.where, size_names(reference.contract)
    coupled = [n for n in names if where is not None and n in free_names(where)]
    groups = [[{n: v} for v in _sizes_of(reference, n, False, rng)] for n in names]
    groups = [group for n, group in zip(names, groups, strict=True) if n not in coupled]
    if where is None:
        return groups
    tries = _EVALUATIONS // len(EXISTENTIAL) ** (len(free_names(where)) - len(coupled))
    found: dict[tuple[int, ...], dict[str, int]] = {}
    for wide in (False, True):
        if len(found) * prod(map(len, groups)) < needed:
            values = [_sizes_of(reference, n, wide, rng) for n in coupled]
            for chosen in _combinations(values, tries, rng):
                sizes = dict(zip(coupled, chosen, strict=True))
                if holds(where, sizes):
                    found[chosen] = sizes
    return [*groups, list(found.values())]


def _sizes_of(
    reference: Reference, name: str, wide: bool, rng: np.random.Generator
) -> tuple[int, ...]:
    """Values to try: from `inputs` for an int argument, else awkward extents or small counts."""
    contract, inputs = reference.contract, reference.options.inputs
    if isinstance(inputs, Mapping) and name in inputs:
        return tuple(np.unique(inputs[name].draw(rng, (256,), "int64")).tolist())
    if any(name in parse_dim(dim).names for part in contract.parts for dim in part.dims or ()):
        return WIDE_EXTENTS if wide else EXTENTS
    own = [w.sizes[name] for w in contract.workloads if abs(w.sizes[name]) <= 64]
    return tuple(dict.fromkeys((*(WIDE_COUNTS if wide else COUNTS), *own)))


def _combinations(
    values: Sequence[Sequence[int]], limit: int, rng: np.random.Generator
) -> Iterable[tuple[int, ...]]:
    """One of each list: all combinations, or so many random ones where there are more."""
    if prod(map(len, values)) <= limit:
        return product(*values)
    picks = [rng.integers(len(v), size=limit).tolist() for v in values]
    return (tuple(v[i] for v, i in zip(values, at, strict=True)) for at in zip(*picks, strict=True))


def _is_small(contract: Contract, sizes: Mapping[str, int]) -> bool:
    shapes = (shape_of(p.dims or (), sizes) for p in contract.parts)
    return all(prod(shape) <= MAX_ELEMENTS for shape in shapes)
