"""Ranks under the judge's clock: one `mpiexec` in which a program runs as often as it is asked.

Every rank is stopped except while it is loading, preparing or being timed. The clock is read before
the first of them may go on, and again when all have answered and have stopped: the time is that of
the slowest, and what is left to a thread is charged or missing. Ranks begin each call together, by
a barrier that is in the time, and each is kept on a core of its own.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from outpace.codegen.mpi.layout import Layout, grid_of
from outpace.model import Contract, Grade, Status, Variant
from outpace.tuner.arena import Layout as Places
from outpace.tuner.contenders import Batches, Contender, Runner
from outpace.tuner.mpi.blocks import Blocks, bytes_for
from outpace.tuner.mpi.ranks import Ranks
from outpace.tuner.placement import aside, pin, threads_of
from outpace.tuner.process import Call

_STOP_LIMIT = 10.0
"""Seconds until a process that was told to stop has stopped."""


@dataclass(frozen=True)
class RankContender(Contender):
    """A program for ranks with its build, on a fixed number of them."""

    ranks: int = 1

    def start(self, contract: Contract, batches: Batches) -> Runner:
        """As of a contender."""
        return TimedRanks(contract, self.variant, self.folder, self.ranks, batches)


class TimedRanks(Ranks):
    """A built program on ranks; prepare, call and look at results as with a `Worker`."""

    def __init__(
        self,
        contract: Contract,
        variant: Variant,
        folder: Path,
        ranks: int,
        batches: Batches,
    ) -> None:
        """Start the ranks, load the program and stop them.

        Args:
            contract: Of the reference.
            variant: The program.
            folder: Holds it bound, and what was compiled of it in the folder `build`.
            ranks: How many.
            batches: Numbers of calls that are made together, and their sizes.

        Raises:
            Failure: It could not be loaded.
            EnvironmentError_: Ranks could not be started.
        """
        self._contract = contract
        self._variant = variant
        self._ranks = ranks
        self._rng = np.random.default_rng()
        self._batch: list[Blocks] = []
        room = max(count * bytes_for(self._layout(sizes)) for count, sizes in batches)
        super().__init__(contract, folder, (ranks,), room, Grade.D)
        for place, pid in enumerate(self.pids):
            pin(pid, place)
        self._pause()

    @property
    def allocates(self) -> bool:
        """They write where they are asked to."""
        return False

    @property
    def everyone(self) -> tuple[int, ...]:
        """Of the ranks and of all that `mpiexec` has started besides them."""
        return tuple(self.job.processes().values())

    def prepare(
        self, calls: Sequence[Call], limit: float = 30.0, *, anywhere: bool = False
    ) -> None:
        """Place the blocks of a batch anew, then fill them while the ranks are stopped.

        Args:
            calls: The batch, all of the same sizes.
            limit: Seconds that the ranks may take to make views and a communicator.
            anywhere: Whether blocks start where any element could lie; else at a cache line.
        """
        memory = [arena.mapping for arena in self.arenas]
        places = [Places(arena.size, self._rng) for arena in self.arenas]
        self._batch = [
            Blocks(self._layout(call.sizes), memory, places, anywhere=anywhere) for call in calls
        ]
        for call, blocks in zip(calls, self._batch, strict=True):
            blocks.fill_scalars(call.values)
            for arena, placed in zip(self.arenas, blocks.placed, strict=True):
                for place in placed:
                    arena.use_huge_pages(place)
        self._resume()
        self.send_batch(self._ranks, [blocks.items for blocks in self._batch], calls[0].sizes)
        self.answers(self._ranks, limit)
        self._pause()
        self.refill(calls)

    def refill(self, calls: Sequence[Call]) -> None:
        """Give the batch other array values of the same sizes, in the blocks that it has."""
        for call, blocks in zip(calls, self._batch, strict=True):
            blocks.fill(call.values, self._rng)

    def run(self, limit: float) -> float:
        """Run the prepared batch once; the ranks are stopped again when this returns.

        Returns:
            Seconds from letting the first rank go until all have answered and stopped.

        Raises:
            Failure: A rank crashed, raised, or did not answer within `limit` seconds.
        """
        with aside():
            begin = time.perf_counter_ns()
            self._resume()
            self.let_run(self._ranks, limit)
            self._pause()
            return (time.perf_counter_ns() - begin) * 1e-9

    def results(self, item: int = 0) -> list[np.ndarray[Any, Any]]:
        """The whole of every result of one call of the batch, put together from the ranks' blocks.

        Where ranks hold other values of what each must hold whole, those of one that is drawn now.

        Raises:
            Failure: A rank wrote beside an array or into an input, or is not stopped.
        """
        if not all(map(_is_stopped, self.pids)):
            raise self.failure(Status.SUSPECT, "it does not stay stopped while it is judged")
        blocks = self._batch[item]
        if (problem := blocks.problem()) is not None:
            raise self.failure(Status.WRONG, problem)
        copies = [blocks.copies(part) for part in self._contract.results]
        return [found[int(self._rng.integers(len(found)))] for found in copies]

    def publish(self, limit: float = 60.0) -> None:
        """Nothing to do: programs write where they are asked to."""

    def _layout(self, sizes: Mapping[str, int]) -> Layout:
        variant, contract = self._variant, self._contract
        grid = grid_of(variant.draft.flags, variant.params, contract, sizes, self._ranks)
        return Layout.of(contract, sizes, grid)

    def _resume(self) -> None:
        for pid in self.pids:
            _tell(pid, signal.SIGCONT)

    def _pause(self) -> None:
        """Stop every thread of every rank and wait until they have stopped."""
        for pid in self.pids:
            _tell(pid, signal.SIGSTOP)
        deadline = time.monotonic() + _STOP_LIMIT
        while not all(map(_is_stopped, self.pids)):
            if time.monotonic() > deadline:
                raise self.failure(Status.SUSPECT, "it cannot be stopped to be judged")
            os.sched_yield()


def _tell(pid: int, what: signal.Signals) -> None:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return  # it has ended, which shows at its next answer


def _is_stopped(pid: int) -> bool:
    """Whether no thread of a process can run: stopped, or ended."""
    for thread in threads_of(pid):
        try:
            text = Path(f"/proc/{pid}/task/{thread}/stat").read_bytes()
        except OSError:
            continue
        # proc(5): the state follows the name, which may hold anything in parentheses.
        if text.rpartition(b") ")[2][:1] not in b"TtZX":
            return False
    return True
