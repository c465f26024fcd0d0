"""Run a function as the ranks of a simulated machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from outpace.errors import UsageError
from outpace.tuner.simcomm.communicators import Comm
from outpace.tuner.simcomm.context import Context
from outpace.tuner.simcomm.engine import Options, Rank, Simulation
from outpace.tuner.simcomm.faults import Fault


@dataclass(frozen=True)
class RankCounts:
    """What one rank did.

    Point-to-point messages are counted where they are matched. Of a collective, `bytes_sent` is
    what the rank gave that others needed, and `bytes_received` what it got from others, however a
    library would route them.

    Attributes:
        calls: MPI calls.
        messages_sent: Point to point.
        messages_received: Point to point.
        bytes_sent: By messages and collectives.
        bytes_received: By messages and collectives.
        collectives: Collectives with others.
        seconds: Virtual time at which it ended.
    """

    calls: int
    messages_sent: int
    messages_received: int
    bytes_sent: int
    bytes_received: int
    collectives: int
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """How a simulation ended.

    Attributes:
        results: What the program returned on each rank; None where it did not get there.
        fault: What was wrong, or None.
        ranks: What each rank did.
    """

    results: tuple[Any, ...]
    fault: Fault | None
    ranks: tuple[RankCounts, ...]

    @property
    def seconds(self) -> float:
        """Virtual time of the last rank."""
        return max(rank.seconds for rank in self.ranks)

    def check(self) -> tuple[Any, ...]:
        """The results; raises the `Fault` where there was one."""
        if self.fault is not None:
            raise self.fault
        return self.results


DEFAULT_OPTIONS = Options()


def run_ranks(
    ranks: int,
    program: Callable[[Comm], Any],
    *,
    seed: int = 0,
    options: Options = DEFAULT_OPTIONS,
    on_resume: Callable[[Rank], None] | None = None,
) -> Outcome:
    """Run a program on simulated ranks, each in a thread of its own, one at a time.

    The same seed gives the same order of ranks, the same matches of ANY_SOURCE and the same order
    of reductions. Where the time limit is reached, threads that compute for ever are left behind:
    run programs that may do so in a process that can be killed.

    Args:
        ranks: Their number.
        program: Called once per rank with that rank's COMM_WORLD.
        seed: Decides whatever MPI leaves open.
        options: What the machine is like, and limits.
        on_resume: Called in a rank's thread whenever it gets its turn.

    Raises:
        UsageError: There is no rank to run.
    """
    if ranks < 1:
        raise UsageError(f"{ranks} ranks cannot run a program; give at least 1")
    simulation = Simulation(ranks, seed, options)
    simulation.on_resume = on_resume
    world = Context(simulation, simulation.ranks)

    def live(rank: Rank) -> Any:
        comm = Comm(world, rank.index)
        rank.communicators = (comm, Comm(Context(simulation, [rank]), 0))
        return program(comm)

    simulation.run(live)
    return Outcome(
        tuple(rank.result for rank in simulation.ranks),
        simulation.fault,
        tuple(_counts(rank) for rank in simulation.ranks),
    )


def _counts(rank: Rank) -> RankCounts:
    return RankCounts(
        rank.calls,
        rank.messages_sent,
        rank.messages_received,
        rank.bytes_sent,
        rank.bytes_received,
        rank.collectives,
        rank.clock,
    )
