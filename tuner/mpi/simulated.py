"""The process in which a draft runs on simulated ranks: it obeys the judge and knows nothing.

Ranks are threads of this one process, so that a draft could look at what another rank holds; under
`mpiexec`, where each rank is a process, it cannot. Each rank has its own copy of the draft's
module.

Protocol, one line of JSON each way: the grade, then it waits; an answer when it has loaded; then
one to each question.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outpace.codec import decode
from outpace.kernels.languages.base import InvalidDraft, Kernel
from outpace.model import Contract
from outpace.tuner.isolation.sandbox import Layers, Limits, confine, die_with_spawner
from outpace.tuner.mpi.channel import Line
from outpace.tuner.placement import stay

if TYPE_CHECKING:
    from outpace.tuner.arena import Mapping


def main(text: str) -> None:
    """Obey until the judge closes the channel."""
    setup = json.loads(text)
    die_with_spawner()
    stay()
    line = Line(setup["read"], setup["write"])
    view = setup["view"]
    layers = confine(
        Limits(),
        [*view["readable"], view["folder"], "/proc", *setup["devices"]],
        [view["scratch"], view["build"]],
        Layers(**setup["layers"]),
    )
    line.send({"grade": layers.grade.value})
    if line.receive() is None:
        return
    from outpace.tuner.mpi.calling import described  # noqa: PLC0415  (after confinement)
    from outpace.tuner.simcomm import installed  # noqa: PLC0415

    with installed():
        try:
            ranks = _Ranks(setup)
        except BaseException as error:  # noqa: BLE001  (whatever a draft raises is reported)
            line.send({"error": described(error)})
            return
        line.send({})
        while (question := line.receive()) is not None:
            line.send(ranks.answer(question))


class _Ranks:
    """The draft, once for each rank, and the memory that each shares with the judge."""

    def __init__(self, setup: dict[str, Any]) -> None:
        from outpace.kernels.languages.mpi import MPI  # noqa: PLC0415
        from outpace.tuner.arena import Mapping  # noqa: PLC0415

        contract = decode(setup["contract"], Contract)
        source, cache = Path(setup["source"]), Path(setup["view"]["build"])
        self._memory = [Mapping(fd, size, writable=True) for fd, size in setup["arenas"]]
        self._runs: list[Kernel] = [MPI.load(source, contract, cache) for _ in self._memory]

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Run one question on simulated ranks.

        There is one rank more than run the draft: their communicator is not COMM_WORLD.
        """
        from outpace.tuner.simcomm import Options, run_ranks  # noqa: PLC0415
        from outpace.tuner.simcomm.faults import Deadlock  # noqa: PLC0415

        count = question["ranks"]
        call = _Call(question, self._runs, self._memory)
        options = Options(max_seconds=question["limit"])
        outcome = run_ranks(count + 1, call, seed=question["seed"], options=options)
        if outcome.fault is not None:
            waiting = [str(one) for one in outcome.fault.waiting[:count]]
            is_deadlock = isinstance(outcome.fault, Deadlock)
            return {
                "fault": outcome.fault.name,
                # Not in words of the fault, which names the rank that takes no part.
                "text": f"Deadlock: {'; '.join(waiting)}" if is_deadlock else str(outcome.fault),
                "waiting": waiting,
                "error": next(iter(call.errors), None),
            }
        return {
            "nonces": list(outcome.results[:count]),
            "received": [one.bytes_received for one in outcome.ranks[:count]],
            "seconds": call.seconds,
            "error": next(iter(call.errors), None),
        }


class _Call:
    """What each simulated rank does.

    Attributes:
        seconds: CPU time of each rank.
        errors: What the draft raised, with the rank.
    """

    def __init__(
        self, question: dict[str, Any], runs: Sequence[Kernel], memory: Sequence[Mapping]
    ) -> None:
        self._question = question
        self._runs = runs
        self._memory = memory
        self.seconds = [0.0] * question["ranks"]
        self.errors: list[dict[str, Any]] = []

    def __call__(self, world: Any) -> str | None:
        """Run the draft on a rank that takes part; returns that the rank came back from it."""
        from outpace.tuner.mpi.calling import arguments, described, keywords  # noqa: PLC0415
        from outpace.tuner.simcomm import Fault  # noqa: PLC0415

        rank, count = world.Get_rank(), self._question["ranks"]
        comm = world.Split(min(rank // count, 1), rank)
        if rank >= count:
            return None
        run = self._runs[rank]
        given = arguments(self._question["items"][rank], self._memory[rank])
        named = keywords(run, self._question["sizes"])
        begin = time.thread_time()
        try:
            run(comm, *given, **named)
            _refuse_finalized()
        except (Exception, SystemExit) as error:
            if not isinstance(error, Fault):
                self.errors.append({**described(error), "rank": rank})
            raise
        self.seconds[rank] = time.thread_time() - begin
        return str(self._question["nonce"])


def _refuse_finalized() -> None:
    from mpi4py import MPI  # noqa: PLC0415  (the stand-in)

    if MPI.Is_finalized():
        raise InvalidDraft("it calls MPI.Finalize, and there are more calls to come")
