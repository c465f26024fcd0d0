"""Dealing a problem to ranks and gathering their results: each rank sees its own block alone.

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
from outpace.codegen.mpi.layout import Part
from outpace.model import Contract, Mismatch
from outpace.tuner.arena import Layout as Places
from outpace.tuner.arena import Mapping as Memory
from outpace.tuner.arena import Placed, poison
from outpace.tuner.mpi.questions import Question
from outpace.tuner.numerics.acceptance import compare

Array = np.ndarray[Any, Any]


def room_for(question: Question) -> int:
    """Bytes that hold the arrays of any one rank, wherever they are placed."""
    room = [0] * question.ranks
    for part in question.layout.contract.parts:
        for rank, cells in enumerate(question.blocks[part.name]):
            nbytes = prod(_extents(cells)) * np.dtype(part.dtype).itemsize
            room[rank] += Places.room(nbytes)
    return max(room)


class Deal:
    """One problem in the memory of its ranks."""

    def __init__(
        self,
        question: Question,
        memory: Sequence[Memory],
        inputs: Mapping[str, Any],
        rng: np.random.Generator,
    ) -> None:
        """Write every rank's blocks.

        Args:
            question: The call.
            memory: What each rank shares with the judge, each with room.
            inputs: Values by argument name, of the whole problem.
            rng: Draws places and poison.
        """
        self._question = question
        self._contract: Contract = question.layout.contract
        self._memory = memory[: question.ranks]
        self._given: list[dict[str, Array]] = []
        self._placed = [
            self._written(rank, own, inputs, rng) for rank, own in enumerate(self._memory)
        ]

    def items(self, rank: int) -> list[list[Any]]:
        """Where a rank finds the values of each parameter: offset, shape, dtype."""
        return [
            [place.offset, list(place.shape), place.dtype, slot.role is Role.SCALAR]
            for slot, place in zip(slots(self._contract), self._placed[rank], strict=True)
        ]

    def problem(self) -> str | None:
        """What a rank has written where it must not, or None."""
        for rank, memory in enumerate(self._memory):
            for slot, place in zip(slots(self._contract), self._placed[rank], strict=True):
                around = [memory.array(margin) for margin in place.margins()]
                if any((margin != place.margin_byte).any() for margin in around):
                    return f"rank {rank} writes outside {slot.name}"
                given = self._given[rank].get(slot.name)
                if given is None or slot.role is Role.INOUT:
                    continue
                if memory.array(place).tobytes() != given.tobytes():
                    return f"rank {rank} writes into its input {slot.name}"
        return None

    def mismatch(self) -> Mismatch | None:
        """The first element of the gathered results outside its band.

        Where ranks hold the same cells, the copy of each is held to it.
        """
        whole = [self._assembled(part) for part in self._contract.results]
        first = [copies[0] for copies in whole]
        found = compare(self._contract, self._question.expected, first)
        for position, copies in enumerate(whole):
            for copy in copies[1:]:
                if found is None:
                    others = [*first[:position], copy, *first[position + 1 :]]
                    found = compare(self._contract, self._question.expected, others)
        return found

    def out_of_order(self) -> str | None:
        """A result that must be combined in order and is not right to the bit, or None."""
        for position, part in enumerate(self._contract.results):
            reduced = self._contract.reduce.get(part.name)
            if reduced is None or reduced.reassociable:
                continue
            wanted = self._question.expected.native[position]
            for copy in self._assembled(part):
                if copy.tobytes() != wanted.tobytes():
                    return (
                        f"{part.name} is {copy.reshape(-1)[0]!r}, in order it is "
                        f"{wanted.reshape(-1)[0]!r}; reassociable=False wants every bit"
                    )
        return None

    def gathered(self) -> bytes:
        """All results as they stand, to tell two calls apart."""
        arrays = [copy for part in self._contract.results for copy in self._assembled(part)]
        return b"".join(array.tobytes() for array in arrays)

    def _written(
        self, rank: int, memory: Memory, inputs: Mapping[str, Any], rng: np.random.Generator
    ) -> list[Placed]:
        places, given, placed = Places(memory.size, rng), {}, []
        for slot in slots(self._contract):
            block = self._question.blocks[slot.name][rank]
            place = places.place(_extents(block), slot.dtype, anywhere=True)
            array = memory.array(place)
            if slot.role is Role.OUTPUT:
                poison(array, rng)
            else:
                array[...] = _block_of(slot, inputs, block)
                given[slot.name] = array.copy()
            for margin in place.margins():
                memory.array(margin)[...] = place.margin_byte
            placed.append(place)
        self._given.append(given)
        return placed

    def _assembled(self, part: Part) -> list[Array]:
        """The whole of a result as its ranks left it; again for each rank whose copy differs."""
        position = [slot.name for slot in slots(self._contract)].index(part.name)
        blocks = [
            (self._question.blocks[part.name][rank], memory.array(self._placed[rank][position]))
            for rank, memory in enumerate(self._memory)
        ]
        index = [one.name for one in self._contract.results].index(part.name)
        native = self._question.expected.native[index]
        whole = np.empty(native.shape, native.dtype)
        filled = np.zeros(native.shape, dtype=bool)
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


def _block_of(slot: Slot, inputs: Mapping[str, Any], block: tuple[slice, ...]) -> Any:
    value = inputs[slot.name]
    return value if slot.role is Role.SCALAR else value[block]


def _extents(block: tuple[slice, ...]) -> tuple[int, ...]:
    return tuple(cells.stop - cells.start for cells in block)
