"""One problem in the memory of its ranks: each rank's own blocks, and the results put together.

Every rank shares one memory file with the judge. Before a call the judge writes the rank's blocks
into it, at random places, poisons the outputs and fills a margin around each array; afterwards
inputs and margins must be as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from outpace.codegen.abi import Role, Slot, slots
from outpace.codegen.dims import shape_of
from outpace.codegen.mpi.layout import Layout, Part
from outpace.tuner.arena import Layout as Places
from outpace.tuner.arena import Mapping as Memory
from outpace.tuner.arena import Placed, poison

Array = np.ndarray[Any, Any]


def bytes_for(layout: Layout) -> int:
    """Bytes that hold the arrays of any one rank, wherever they are placed."""
    return max(
        sum(
            Places.room(prod(layout.shape(part, rank)) * np.dtype(part.dtype).itemsize)
            for part in layout.contract.parts
        )
        for rank in range(layout.ranks)
    )


class Blocks:
    """Where each rank finds its blocks, and what is in them.

    Attributes:
        placed: Of each rank, the arrays in the order of the calling convention.
    """

    def __init__(
        self,
        layout: Layout,
        memory: Sequence[Memory],
        places: Sequence[Places],
        *,
        anywhere: bool = True,
    ) -> None:
        """Choose places; nothing is written yet.

        Args:
            layout: Who owns what.
            memory: What each rank shares with the judge.
            places: Of each rank, the places that are left there.
            anywhere: Whether arrays start where any element could lie, else at a cache line.
        """
        contract = layout.contract
        self._layout = layout
        self._memory = memory[: layout.ranks]
        self._slots = slots(contract)
        parts = {part.name: part for part in contract.parts}
        ranks = range(layout.ranks)
        self._own = {name: [layout.own(part, r) for r in ranks] for name, part in parts.items()}
        self._values: Mapping[str, Any] = {}
        self.placed: list[list[Placed]] = [
            [
                places[rank].place(_extents(self._own[s.name][rank]), s.dtype, anywhere=anywhere)
                for s in self._slots
            ]
            for rank in ranks
        ]

    def fill(self, values: Mapping[str, Any], rng: np.random.Generator) -> None:
        """Write the inputs, poison the outputs and fill the margins.

        Args:
            values: By argument name, of the whole problem; they must not change afterwards.
            rng: Draws the poison.
        """
        self._values = values
        for rank, memory in enumerate(self._memory):
            for slot, place in zip(self._slots, self.placed[rank], strict=True):
                array = memory.array(place)
                if slot.role is Role.OUTPUT:
                    poison(array, rng)
                else:
                    array[...] = self._given(slot, rank)
                for margin in place.margins():
                    memory.array(margin)[...] = place.margin_byte

    def fill_scalars(self, values: Mapping[str, Any]) -> None:
        """Write the scalars alone, which ranks read when they are told of a call."""
        for rank, memory in enumerate(self._memory):
            for slot, place in zip(self._slots, self.placed[rank], strict=True):
                if slot.role is Role.SCALAR:
                    memory.array(place)[...] = values[slot.name]

    def items(self, rank: int) -> list[list[Any]]:
        """Where a rank finds the values of each parameter: offset, shape, dtype, if a scalar."""
        return [
            [place.offset, list(place.shape), place.dtype, slot.role is Role.SCALAR]
            for slot, place in zip(self._slots, self.placed[rank], strict=True)
        ]

    def problem(self) -> str | None:
        """What a rank has written where it must not, or None."""
        for rank, memory in enumerate(self._memory):
            for slot, place in zip(self._slots, self.placed[rank], strict=True):
                around = [memory.array(margin) for margin in place.margins()]
                if any((margin != place.margin_byte).any() for margin in around):
                    return f"rank {rank} writes outside {slot.name}"
                if slot.role not in (Role.INPUT, Role.SCALAR):
                    continue
                given = np.asarray(self._given(slot, rank), dtype=slot.dtype)
                if memory.array(place).tobytes() != given.tobytes():
                    return f"rank {rank} writes into its input {slot.name}"
        return None

    def copies(self, part: Part) -> list[Array]:
        """The whole of a result as its ranks left it; again for each rank whose copy differs."""
        position = [slot.name for slot in self._slots].index(part.name)
        blocks = [
            (self._own[part.name][rank], memory.array(self.placed[rank][position]))
            for rank, memory in enumerate(self._memory)
        ]
        shape = shape_of(part.dims or (), self._layout.global_sizes)
        whole = np.empty(shape, part.dtype)
        filled = np.zeros(shape, dtype=bool)
        for cells, block in blocks:
            fresh = ~filled[cells]
            whole[cells][fresh] = block[fresh]
            filled[cells] = True
        others = []
        for cells, block in blocks:
            if whole[cells].tobytes() != np.ascontiguousarray(block).tobytes():
                copy = whole.copy()
                copy[cells] = block
                others.append(copy)
        return [whole, *others]

    def _given(self, slot: Slot, rank: int) -> Any:
        value = self._values[slot.name]
        return value if slot.role is Role.SCALAR else value[self._own[slot.name][rank]]


def _extents(block: tuple[slice, ...]) -> tuple[int, ...]:
    return tuple(cells.stop - cells.start for cells in block)
