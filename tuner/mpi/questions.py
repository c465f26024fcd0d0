"""What a draft for MPI ranks is asked: numbers of ranks, awkward sizes, and what must come out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from math import prod

import numpy as np

from outpace.codegen.contract import size_names
from outpace.codegen.dims import parse_dim, shape_of, sizes_text
from outpace.codegen.domain import allows
from outpace.codegen.inputs import Case, draw_inputs, is_small
from outpace.codegen.mpi.layout import Layout, cut_dims, grid_of
from outpace.model import Contract, Variant
from outpace.split import Block, Pencil
from outpace.tuner.numerics.acceptance import Expected, expect
from outpace.tuner.numerics.selfcheck import CheckedReference

_OTHER_EXTENTS = (5, 3, 4)
"""Extents of dims that are not cut."""
_STEPS = (2, 3, 1, 5, 4, 0)
"""Values of the argument that counts time steps."""
_FEW_RANKS = 4
"""How many of the numbers of ranks the drawn cases are spread over."""
_STEADY = 3
"""Largest value of another int argument, which may be a number of rounds; cases draw others."""
_WEIGHED_RANKS = 4
"""About how many ranks share the larger problem on which work and messages are weighed.

As many as can be where arrays are transposed, which differs less from gathering all of them.
"""
_LASTING = ((65, 67), (33, 35), (17, 19))
"""Cells of a block, times the halo, and time steps of a problem that exchanges deep halos again."""
_LASTING_CELLS = 40_000
_WEIGHED_STEPS = 4
_WEIGHED_CELLS = 36_000
"""Cells of its largest array."""
_HALVINGS = 6
"""How often that may have to be halved for a slow reference."""
_WEIGHED_SECONDS = 0.05
"""Longest time of the reference at that size; it runs some twenty times."""


@dataclass(frozen=True)
class Question:
    """One call of a draft by all ranks.

    Attributes:
        layout: Who owns what.
        case: How the inputs are drawn.
        expected: What the results must be.
        weighed: Whether the received bytes and the work of each rank are held to bounds.
    """

    layout: Layout
    case: Case
    expected: Expected
    weighed: bool = False

    @cached_property
    def blocks(self) -> dict[str, list[tuple[slice, ...]]]:
        """Of each argument and output by name: the block of every rank, as global slices."""
        layout = self.layout
        return {
            part.name: [layout.own(part, rank) for rank in range(layout.ranks)]
            for part in layout.contract.parts
        }

    @property
    def ranks(self) -> int:
        """Number of ranks."""
        return self.layout.ranks

    @property
    def text(self) -> str:
        """Where this is, for a person."""
        return f"{self.ranks} rank{'s' * (self.ranks > 1)}, {sizes_text(self.case.sizes)}"


class Questioner:
    """Draws questions about one reference; what its results must be is derived once a case."""

    def __init__(self, checked: CheckedReference, seed: int) -> None:
        self.reference = checked.reference
        self.contract: Contract = checked.reference.contract
        self._oracle = checked.oracle
        self._cases = checked.cases
        self._seed = seed
        self._known = dict(zip((_key(c) for c in checked.cases), checked.expected, strict=True))
        self._refused: set[str] = set()
        self._weighed: dict[int, dict[str, int] | None] = {}
        self._lasting: dict[int, dict[str, int] | None] = {}

    def ranks_of(self, variant: Variant, ranks: Sequence[int]) -> tuple[int, ...]:
        """These numbers of ranks, or where the draft's grid has a fixed number of places, that.

        Raises:
            DraftError: The grid is none of this contract.
        """
        params = variant.params
        places = [v for name, v in params.items() if name.startswith("GRID_") and type(v) is int]
        found = (prod(places),) if places else tuple(ranks)
        sizes = self.contract.workloads[0].sizes
        for number in found:
            grid_of(variant.draft.flags, params, self.contract, sizes, number)
        return found

    def awkward(self, variant: Variant, ranks: Sequence[int]) -> Iterator[Question]:
        """At every number of ranks: even and uneven blocks, empty ones, and less than a halo."""
        places = count()
        for number in ranks:
            found = list(_awkward_sizes(self.contract, number, self._steady(), places))
            # The first sizes twice, with other values: an answer to the last call is none to this.
            for sizes in [*found[:1], *found]:
                question = self._question(variant, number, Case(sizes, self._seed + next(places)))
                if question is not None:
                    yield question

    def drawn(self, variant: Variant, ranks: Sequence[int]) -> Iterator[Question]:
        """The cases that serial drafts are checked on, each on one of the first few of these ranks.

        They are about values and sizes; `awkward` asks about every number of ranks. Those in which
        a dim that is cut has no cell are left out: there is nothing to share.
        """
        cut = cut_dims(self.contract)
        cases = [case for case in self._cases if all(case.sizes[dim] for dim in cut)]
        few = ranks[:_FEW_RANKS]
        for place, case in enumerate(cases):
            question = self._question(variant, few[place % len(few)], case)
            if question is not None:
                yield question

    def lasting(self, variant: Variant, ranks: Sequence[int]) -> Iterator[Question]:
        """Many time steps, of which the halos of a few ranks may hold a good number."""
        shared = [number for number in ranks if number > 1]
        if self.contract.steps is None or not shared:
            return
        number = min(shared)
        if number not in self._lasting:
            found = _lasting_sizes(self.contract, number, self._steady())
            self._lasting[number] = next(filter(self._is_quick, found), None)
        sizes = self._lasting[number]
        if sizes is not None:
            question = self._question(variant, number, Case(sizes, self._seed))
            if question is not None:
                yield question

    def weighed(self, variant: Variant, ranks: Sequence[int]) -> Iterator[Question]:
        """A larger problem, where work and messages can be weighed; none for one rank alone."""
        shared = [number for number in ranks if number > 1]
        if not shared:
            return
        is_transposed = any(isinstance(one, Pencil) for one in self.contract.split.values())
        wanted = max(shared) if is_transposed else _WEIGHED_RANKS
        number = min(shared, key=lambda n: abs(n - wanted))
        if number not in self._weighed:
            self._weighed[number] = self._largest_quick(number)
        sizes = self._weighed[number]
        if sizes is not None:
            question = self._question(variant, number, Case(sizes, self._seed))
            if question is not None:
                yield dataclasses.replace(question, weighed=True)

    def _largest_quick(self, ranks: int) -> dict[str, int] | None:
        """The largest sizes to weigh at for which the reference is quick enough."""
        largest = None
        for halvings in range(_HALVINGS, -1, -1):
            cells = _WEIGHED_CELLS >> halvings
            sizes = _weighed_sizes(self.contract, ranks, self._steady(), cells)
            if allows(self.contract, sizes):
                if not self._is_quick(sizes):
                    break
                largest = sizes
        return largest

    def _steady(self) -> dict[str, int]:
        """Other int arguments than dims and steps, as the first workload has them if small."""
        contract = self.contract
        used = {n for p in contract.parts for dim in p.dims or () for n in parse_dim(dim).names}
        sizes = contract.workloads[0].sizes
        names = [n for n in size_names(contract) if n not in {*used, contract.steps}]
        return {name: min(sizes[name], _STEADY) for name in names}

    def _is_quick(self, sizes: Mapping[str, int]) -> bool:
        case = Case(dict(sizes), self._seed)
        try:
            inputs = draw_inputs(self.reference, case)
            begin = time.monotonic()
            self._oracle.native(inputs, case.sizes)
        except Exception:  # noqa: BLE001  (the reference refuses this size)
            return False
        return time.monotonic() - begin < _WEIGHED_SECONDS

    def _question(self, variant: Variant, number: int, case: Case) -> Question | None:
        """None where the reference refuses the sizes.

        Raises:
            DraftError: The draft's grid does not fit.
        """
        if not allows(self.contract, case.sizes):
            return None
        expected = self._expected(case)
        if expected is None:
            return None
        draft = variant.draft
        grid = grid_of(draft.flags, variant.params, self.contract, case.sizes, number)
        return Question(Layout.of(self.contract, case.sizes, grid), case, expected)

    def _expected(self, case: Case) -> Expected | None:
        key = _key(case)
        if key not in self._known and key not in self._refused:
            try:
                inputs = draw_inputs(self.reference, case)
                rng = np.random.default_rng(case.seed)
                self._known[key] = expect(self._oracle, inputs, case.sizes, rng)
            except Exception:  # noqa: BLE001  (a size at which the reference raises is not asked)
                self._refused.add(key)
        return self._known.get(key)


def halo_of(split: object) -> tuple[int, int]:
    """Cells that one step reads below and above; none unless the dim is cut into blocks."""
    if not isinstance(split, Block):
        return 0, 0
    return (split.halo, split.halo) if isinstance(split.halo, int) else split.halo


def _awkward_sizes(
    contract: Contract, ranks: int, steady: Mapping[str, int], places: Iterator[int]
) -> Iterator[dict[str, int]]:
    """Sizes for one number of ranks, each small enough for the full numerical rule."""
    cut = cut_dims(contract)
    reach = _reach(contract)
    extents = (3 * ranks * reach, 4 * ranks + 1, 1, reach, max(1, ranks - 1), 2 * ranks + 3)
    seen = []
    for place in range(len(extents)):
        turn = next(places)
        sizes = dict(steady)
        for name in size_names(contract):
            if name in cut:
                shift = cut.index(name)
                sizes[name] = extents[(place + shift) % len(extents)] + (shift if place == 0 else 0)
            elif name == contract.steps:
                sizes[name] = _STEPS[turn % len(_STEPS)]
            elif name not in steady:
                sizes[name] = _OTHER_EXTENTS[turn % len(_OTHER_EXTENTS)]
        if sizes not in seen and allows(contract, sizes) and is_small(contract, sizes):
            seen.append(sizes)
            yield sizes


def _lasting_sizes(
    contract: Contract, ranks: int, steady: Mapping[str, int]
) -> Iterator[dict[str, int]]:
    """The longest first; no more than twice the steps of any workload."""
    assert contract.steps is not None
    cut = cut_dims(contract)
    most = max(workload.sizes[contract.steps] for workload in contract.workloads)
    for cells, steps in _LASTING:
        extent = ranks * cells * _reach(contract) + 1
        given = {**steady, **dict.fromkeys(cut, extent), contract.steps: min(steps, 2 * most)}
        sizes = {name: given.get(name, _OTHER_EXTENTS[0]) for name in size_names(contract)}
        if not allows(contract, sizes):
            continue
        if max(prod(shape_of(p.dims or (), sizes)) for p in contract.parts) <= _LASTING_CELLS:
            yield sizes


def _reach(contract: Contract) -> int:
    """The farthest that one step reads along any dim, at least 1."""
    return max(1, *(max(halo_of(split)) for split in contract.split.values()))


def _weighed_sizes(
    contract: Contract, ranks: int, steady: Mapping[str, int], cells: int
) -> dict[str, int]:
    """As large as `cells` allow, in equal blocks."""
    cut = cut_dims(contract)
    others = {
        name: _OTHER_EXTENTS[0]
        for name in size_names(contract)
        if name not in cut and name not in steady and name != contract.steps
    }
    most = max(
        sum(dim in cut for text in part.dims or () for dim in parse_dim(text).names)
        for part in contract.parts
    )
    room = cells // prod(others.values()) if others else cells
    extent = max(2, int(max(room, 1) ** (1 / max(most, 1))) // (2 * ranks) * 2) * ranks
    sizes = {**steady, **others, **dict.fromkeys(cut, extent)}
    if contract.steps is not None:
        sizes[contract.steps] = _WEIGHED_STEPS
    return {name: sizes[name] for name in size_names(contract)}


def _key(case: Case) -> str:
    return case.text
