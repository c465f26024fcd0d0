"""Small problems on which an annotation is put to the test.

They are drawn as the cases of a check are, but so that every dim that may be cut is long enough to
see past its halo (`wide`), or shorter than its halo, down to one cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from outpace.codegen.dims import parse_dim, shape_of, sizes_text
from outpace.codegen.domain import allows
from outpace.codegen.inputs import Case, draw_inputs, independent_sizes
from outpace.codegen.mpi.layout import cut_dims
from outpace.codegen.splitting import halo_of
from outpace.errors import ContractError
from outpace.model import Contract
from outpace.tuner.numerics.oracle import Oracle

Array = np.ndarray[Any, Any]
Sizes = dict[str, int]

MOST_STEPS = 3
"""Time steps that are tried: 1 up to this many."""
_WIDE, _NARROW = 4, 5
"""Problems of each kind."""
_TRIES = 60
"""Draws of sizes for a problem, most of which may be outside the domain."""
_ELEMENTS = 2500
"""Elements of the largest array, where the domain and the halos allow so few."""
_PATIENCE = 15
"""Draws after which twice as many elements will do."""
_OTHERS = range(4, 10)
"""Extents of dims that are not cut: a stencil along them has an inside."""
_FEW = range(1, 6)
"""The same in narrow problems."""


@dataclass(frozen=True)
class Problem:
    """One call of a reference, and other values for its inputs.

    Attributes:
        oracle: Runs the reference.
        sizes: Dims and int arguments.
        steps: How many time steps this call makes; 1 where the contract counts none.
        inputs: Values by argument name.
        others: Values of another draw.
        results: What the reference gives for the inputs.
        is_wide: Whether every dim that may be cut is longer than its halo reaches.
    """

    oracle: Oracle
    sizes: Sizes
    steps: int
    inputs: Mapping[str, Any]
    others: Mapping[str, Any]
    results: list[Array]
    is_wide: bool

    @property
    def contract(self) -> Contract:
        """Of the reference."""
        return self.oracle.contract

    @property
    def text(self) -> str:
        """The sizes as a person would write them."""
        return sizes_text(self.sizes)

    def run(
        self, changes: Mapping[str, Any], sizes: Mapping[str, int] | None = None
    ) -> list[Array] | None:
        """Results with some inputs replaced; None where the reference then raises."""
        return attempt(self.oracle, {**self.inputs, **changes}, sizes or self.sizes)


def attempt(
    oracle: Oracle, inputs: Mapping[str, Any], sizes: Mapping[str, int]
) -> list[Array] | None:
    """Results of the reference, or None where it raises: sizes or values it does not take.

    Raises:
        ContractError: A returned value is not as annotated.
    """
    try:
        return oracle.native(inputs, sizes)
    except ContractError:
        raise
    except Exception:  # noqa: BLE001  (outside the domain; whoever asks counts what ran)
        return None


def with_steps(contract: Contract, sizes: Mapping[str, int], steps: int) -> Sizes:
    """The same sizes for so many time steps."""
    return dict(sizes) if contract.steps is None else {**sizes, contract.steps: steps}


def drawn_problems(oracle: Oracle, seed: int) -> Iterator[Problem]:
    """Problems that the reference accepts, wide and narrow ones by turns, of one step and more."""
    rng = np.random.default_rng(seed)
    for position, (sizes, is_wide) in enumerate(_drawn_sizes(oracle, rng)):
        cases = (Case(sizes, seed + 2 * position), Case(sizes, seed + 2 * position + 1))
        try:
            inputs, others = (draw_inputs(oracle.reference, case) for case in cases)
        except ContractError:
            raise
        except Exception:  # noqa: BLE001, S112  (inputs(...) of the user refuses the size)
            continue
        for steps in range(1, MOST_STEPS + 1 if oracle.contract.steps else 2):
            now = with_steps(oracle.contract, sizes, steps)
            values = {**inputs, **{n: now[n] for n in (oracle.contract.steps,) if n is not None}}
            results = attempt(oracle, values, now) if allows(oracle.contract, now) else None
            if results is not None:
                yield Problem(oracle, now, steps, values, others, results, is_wide)


def _drawn_sizes(oracle: Oracle, rng: np.random.Generator) -> Iterator[tuple[Sizes, bool]]:
    """Distinct sizes and whether they are wide."""
    contract = oracle.contract
    groups = independent_sizes(oracle.reference, _TRIES, rng, wide=_wide_reach(contract) > 65)
    kinds = [True, False] * min(_WIDE, _NARROW) + [_WIDE > _NARROW] * abs(_WIDE - _NARROW)
    seen: list[Sizes] = []
    for is_wide in kinds:
        suited = _Suited(contract, is_wide, rng)
        decks = [suited.choices(group) for group in groups]
        for draw in range(_TRIES if all(decks) else 0):
            sizes = {n: v for deck in decks for n, v in deck[int(rng.integers(len(deck)))].items()}
            sizes = with_steps(contract, sizes, 1)
            if sizes not in seen and _is_fit(contract, sizes, _ELEMENTS << draw // _PATIENCE):
                seen.append(sizes)
                yield sizes, is_wide and _sees_past_halos(contract, sizes)
                break


class _Suited:
    """Chooses small sizes that suit a kind of problem.

    In a wide one all dims see past their halos, and one of them past that of `MOST_STEPS` steps. In
    every other narrow one the dims are about as short as their halos.
    """

    def __init__(self, contract: Contract, is_wide: bool, rng: np.random.Generator) -> None:
        self._cut = cut_dims(contract)
        self._extents = {
            n for part in contract.parts for d in part.dims or () for n in parse_dim(d).names
        }
        self._reach = {dim: sum(halo_of(contract.split[dim])) for dim in self._cut}
        self._is_wide = is_wide
        self._is_short = not is_wide and bool(rng.integers(2))
        self._longest = str(rng.choice(self._cut)) if self._cut else ""

    def choices(self, group: Sequence[Sizes]) -> Sequence[Sizes]:
        """For one group of sizes: those that suit, or all if none does."""
        fitting = [one for one in group if all(self._suits(n, v) for n, v in one.items())]
        if self._is_wide and group and set(group[0]) & set(self._cut):
            fitting = sorted(fitting, key=lambda choice: sum(choice.values()))[:4]
        return fitting or [choice for choice in group if all(v >= 0 for v in choice.values())]

    def _suits(self, name: str, value: int) -> bool:
        if name not in self._cut:
            others = _OTHERS if self._is_wide else _FEW
            return value in others if name in self._extents else value > 0
        if self._is_short:
            return 1 <= value <= max(2, self._reach[name])
        steps = MOST_STEPS if name == self._longest else 1
        return value >= max(4, steps * self._reach[name] + 2 if self._is_wide else 1)


def _is_fit(contract: Contract, sizes: Sizes, elements: int) -> bool:
    """Whether sizes are in the domain, leave something to see and are small."""
    if not allows(contract, sizes):
        return False
    counts = [prod(shape_of(part.dims or (), sizes)) for part in contract.parts]
    return all(counts) and max(counts) <= elements


def _wide_reach(contract: Contract) -> int:
    reaches = (MOST_STEPS * sum(halo_of(split)) + 2 for split in contract.split.values())
    return max(reaches, default=0)


def _sees_past_halos(contract: Contract, sizes: Sizes) -> bool:
    return all(sizes[dim] > sum(halo_of(contract.split[dim])) + 1 for dim in cut_dims(contract))
