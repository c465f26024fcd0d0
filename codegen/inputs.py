"""Drawing test cases and their input values from a contract.

A `Case` is a descriptor (sizes, seed, flavour of values), never the elements: it is a few bytes in
a journal and gives the same arrays again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

import msgspec
import numpy as np

from outpace.codec import Value
from outpace.codegen.contract import size_names
from outpace.codegen.dims import parse_dim, shape_of
from outpace.codegen.distributions import FLAVOURS, Distribution, default_distribution
from outpace.codegen.domain import EXISTENTIAL, allows, free_names, holds
from outpace.codegen.reference import Reference
from outpace.errors import ContractError, UsageError
from outpace.model import Argument, Contract, Counterexample, Mismatch, Workload

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
_SHORT_SEEDS = 2
"""Seeds from 0 on that are tried for simpler values."""
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

    @classmethod
    def of_counterexample(cls, found: Counterexample) -> Case:
        """What a counterexample was found on."""
        return cls(found.sizes, found.seed, found.flavour, found.scalars)

    def counterexample(self, mismatch: Mismatch | None) -> Counterexample:
        """This case, on which a draft was wrong; `mismatch` is None where it failed otherwise."""
        return Counterexample(self.sizes, self.seed, self.flavour, mismatch, self.scalars)

    @property
    def text(self) -> str:
        """The case as `read_case` takes it, one line of JSON."""
        fields = {"sizes": self.sizes, "seed": self.seed, "flavour": self.flavour}
        return json.dumps({**fields, "scalars": self.scalars} if self.scalars else fields)


def read_case(reference: Reference, text: str) -> Case:
    """A case from a person.

    Args:
        reference: Whose inputs it describes.
        text: JSON as `Case.text` gives it; all but the sizes may be left out.

    Raises:
        UsageError: It is no such JSON, or the contract does not allow it.
    """
    try:
        case = msgspec.convert({"seed": 0, **msgspec.json.decode(text)}, Case)
    except (msgspec.MsgspecError, TypeError) as error:
        raise UsageError(
            f"the case {text!r} cannot be read: {error}; write for example "
            f"{Case.of_workload(reference.contract.workloads[0], 0).text}"
        ) from error
    reason = misfit(reference, case)
    if reason is not None:
        raise UsageError(f"the case {text!r} does not fit {reference.name}: {reason}")
    return case


def misfit(reference: Reference, case: Case) -> str | None:
    """Why a case is not one of this reference, or None if it is."""
    contract = reference.contract
    names = size_names(contract)
    if set(case.sizes) != set(names):
        return f"its sizes must be {', '.join(names) or 'none'}"
    if not allows(contract, case.sizes):
        return "the contract does not allow these sizes"
    if case.seed < 0:
        return "its seed must not be negative"
    if case.flavour not in flavours_of(reference):
        return f"its flavour must be one of {', '.join(flavours_of(reference))}"
    unknown = set(case.scalars) - {a.name for a in contract.arguments if not a.is_array}
    return f"{min(unknown)!r} is no scalar argument" if unknown else None


def flavours_of(reference: Reference) -> tuple[str, ...]:
    """Kinds of values that can be drawn: a callable of `inputs` draws plain ones only."""
    return ("plain",) if callable(reference.inputs) else FLAVOURS


def draw_inputs(reference: Reference, case: Case) -> dict[str, Any]:
    """Argument values by name: arrays C-contiguous, scalars as a caller passes them.

    Scalars are Python numbers, or NumPy ones where a narrower type is annotated.

    Raises:
        ContractError: The callable of `inputs` gave something that the annotation does not allow.
    """
    rng = np.random.Generator(np.random.SFC64(case.seed))
    given = reference.inputs
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
    flavours = flavours_of(reference)
    names = size_names(contract)
    decks = [
        _Deck(cards, rng) for cards in independent_sizes(reference, count / len(flavours), rng)
    ]
    cases: dict[tuple[Any, ...], Case] = {}
    for _ in range(_ATTEMPTS * count if all(deck.cards for deck in decks) else 0):
        if len(cases) >= count:
            break
        dealt = {name: size for deck in decks for name, size in deck.deal().items()}
        sizes = {name: dealt[name] for name in names}
        if allows(contract, sizes) and is_small(contract, sizes):
            flavour = flavours[len(cases) % len(flavours)]
            key = (*sizes.values(), flavour)
            cases.setdefault(key, Case(sizes, int(rng.integers(2**62)), flavour))
    return list(cases.values())


def simpler_cases(reference: Reference, case: Case) -> Iterator[Case]:
    """Cases that are simpler than this one in one respect, the most promising first.

    One group of sizes that can be chosen apart from the others is made smaller, the smallest first,
    or the flavour is a simpler one, each with a few short seeds besides the same one; else the seed
    is a shorter one.
    """
    rng = np.random.default_rng(0)
    seeds = tuple(dict.fromkeys((*range(_SHORT_SEEDS), case.seed)))
    for group in independent_sizes(reference, _ATTEMPTS, rng, wide=True):
        weight = sum(abs(case.sizes[name]) for name in group[0]) if group else 0
        smaller = ((sum(map(abs, choice.values())), choice) for choice in group)
        for size, choice in sorted(smaller, key=lambda one: one[0]):
            sizes = {**case.sizes, **choice}
            if size < weight and allows(reference.contract, sizes):
                for seed in seeds:
                    yield msgspec.structs.replace(case, sizes=sizes, seed=seed)
    flavours = flavours_of(reference)
    for flavour, seed in product(flavours[: flavours.index(case.flavour)], seeds):
        yield msgspec.structs.replace(case, flavour=flavour, seed=seed)
    for seed in seeds[:_SHORT_SEEDS]:
        if seed < case.seed:
            yield msgspec.structs.replace(case, seed=seed)


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


def independent_sizes(
    reference: Reference, needed: float, rng: np.random.Generator, *, wide: bool = False
) -> list[list[dict[str, int]]]:
    """For each group of sizes that can be chosen apart from the others, all choices.

    The sizes that `where` names are one group, each other size is one of its own. Where there are
    fewer than the needed combinations of choices, `where` is tried on a wider range; so are all
    sizes with `wide`.
    """
    where, names = reference.contract.where, size_names(reference.contract)
    coupled = [n for n in names if where is not None and n in free_names(where)]
    groups = [[{n: v} for v in _sizes_of(reference, n, wide, rng)] for n in names]
    groups = [group for n, group in zip(names, groups, strict=True) if n not in coupled]
    if where is None:
        return groups
    tries = _EVALUATIONS // len(EXISTENTIAL) ** (len(free_names(where)) - len(coupled))
    found: dict[tuple[int, ...], dict[str, int]] = {}
    for wider in (wide, True):
        if len(found) * prod(map(len, groups)) < needed:
            values = [_sizes_of(reference, n, wider, rng) for n in coupled]
            for chosen in _combinations(values, tries, rng):
                sizes = dict(zip(coupled, chosen, strict=True))
                if holds(where, sizes):
                    found[chosen] = sizes
    return [*groups, list(found.values())]


def _sizes_of(
    reference: Reference, name: str, wide: bool, rng: np.random.Generator
) -> tuple[int, ...]:
    """Values to try: from `inputs` for an int argument, else awkward extents or small counts."""
    contract, inputs = reference.contract, reference.inputs
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


def is_small(contract: Contract, sizes: Mapping[str, int]) -> bool:
    """Whether no array of these sizes is larger than those of drawn cases."""
    shapes = (shape_of(p.dims or (), sizes) for p in contract.parts)
    return all(prod(shape) <= MAX_ELEMENTS for shape in shapes)
