"""Dealing a question to ranks, and holding what they leave to what must come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from outpace.model import Mismatch
from outpace.tuner.arena import Layout as Places
from outpace.tuner.arena import Mapping as Memory
from outpace.tuner.mpi.blocks import Blocks, bytes_for
from outpace.tuner.mpi.questions import Question
from outpace.tuner.numerics.acceptance import compare


def room_for(question: Question) -> int:
    """Bytes that hold the arrays of any one rank, wherever they are placed."""
    return bytes_for(question.layout)


class Deal:
    """One question in the memory of its ranks."""

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
        self._contract = question.layout.contract
        places = [Places(own.size, rng) for own in memory[: question.ranks]]
        self._blocks = Blocks(question.layout, memory, places)
        self._blocks.fill(inputs, rng)

    def items(self, rank: int) -> list[list[Any]]:
        """As of `Blocks`."""
        return self._blocks.items(rank)

    def problem(self) -> str | None:
        """As of `Blocks`."""
        return self._blocks.problem()

    def mismatch(self) -> Mismatch | None:
        """The first element of the gathered results outside its band.

        Where ranks hold the same cells, the copy of each is held to it.
        """
        whole = [self._blocks.copies(part) for part in self._contract.results]
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
            for copy in self._blocks.copies(part):
                if copy.tobytes() != wanted.tobytes():
                    return (
                        f"{part.name} is {copy.reshape(-1)[0]!r}, in order it is "
                        f"{wanted.reshape(-1)[0]!r}; reassociable=False wants every bit"
                    )
        return None

    def gathered(self) -> bytes:
        """All results as they stand, to tell two calls apart."""
        parts = self._contract.results
        arrays = [copy for part in parts for copy in self._blocks.copies(part)]
        return b"".join(array.tobytes() for array in arrays)
