"""The process of one rank under `mpiexec`: it obeys the judge and knows nothing.

MPI is initialised first, and a communicator made for every number of ranks; then the process
confines itself, and only then loads the draft. All that it has of the problem is its own block of
each array, in a memory file of its own that the judge fills before each call.

The draft shares this process: it could speak to the judge in its stead, but only of its own rank,
and what it wrote is compared all the same. What it cannot do is answer for another rank, or read
what another rank holds.

Protocol, one line of JSON each way: the grade, then it waits; an answer when it has loaded; then
one to each request, until the judge closes the channel. A request either prepares a batch of calls,
which makes views and a communicator and runs nothing, or runs the batch that was prepared.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from outpace.codec import decode
from outpace.kernels.languages.base import Kernel
from outpace.model import Contract
from outpace.tuner.isolation.sandbox import Layers, Limits, confine
from outpace.tuner.mpi.channel import Line


def main(text: str) -> None:
    """Obey until the judge closes the channel."""
    setup = json.loads(text)
    from mpi4py import MPI  # noqa: PLC0415  (initialises MPI)

    world = MPI.COMM_WORLD
    rank, folder = world.Get_rank(), Path(setup["folder"])
    line = Line.named(folder / f"commands-{rank}", folder / f"replies-{rank}")
    if world.Get_size() != setup["world"]:
        line.send({"size": world.Get_size()})
        return
    comms = _communicators(world, setup["ranks"])
    memory = _memory(folder / "memory" / str(rank), setup["bytes"])
    scratch = folder / f"rank-{rank}"
    shutil.copytree(setup["build"], scratch / "build")
    os.chdir(scratch)
    layers = confine(
        Limits(),
        [*setup["readable"], setup["source"], "/proc", *setup["devices"]],
        [str(scratch)],
        # Namespaces are around all ranks together, and they hold the whole file system.
        Layers(namespaces=False, landlock=True, seccomp=True),
    )
    line.send({"grade": layers.grade.value, "size": world.Get_size(), "pid": os.getpid()})
    _obey(line, setup, comms, memory, scratch / "build")
    MPI.Finalize()


def _communicators(world: Any, ranks: Sequence[int]) -> dict[int, Any]:
    """One communicator for each number of ranks, of the first so many; all have talked once."""
    from mpi4py import MPI  # noqa: PLC0415

    rank = world.Get_rank()
    found = {n: world.Split(0 if rank < n else MPI.UNDEFINED, rank) for n in ranks}
    # Connections that are made at the first message could not be made after confinement.
    world.alltoall(list(range(world.Get_size())))
    return found


def _memory(path: Path, size: int) -> Any:
    from outpace.tuner.arena import Mapping  # noqa: PLC0415

    descriptor = os.open(path, os.O_RDWR)
    try:
        return Mapping(descriptor, size, writable=True)
    finally:
        os.close(descriptor)  # so that the draft cannot make the file shorter


def _obey(
    line: Line, setup: dict[str, Any], comms: dict[int, Any], memory: Any, cache: Path
) -> None:
    from outpace.kernels.languages.mpi import MPI  # noqa: PLC0415  (after confinement)
    from outpace.tuner.mpi.calling import described  # noqa: PLC0415

    calls: _Calls | None = None
    while (message := line.receive()) is not None:
        answer: dict[str, Any] = {}
        try:
            if calls is None:
                contract = decode(setup["contract"], Contract)
                calls = _Calls(MPI.load(Path(setup["source"]), contract, cache))
                _warm_up()
            elif "batch" in message:
                calls.prepare(message, comms[message["ranks"]], memory)
            else:
                calls.run()
                answer = {"nonces": [message["nonce"]]}
        except BaseException as error:  # noqa: BLE001  (whatever a draft raises is reported)
            line.send({"error": described(error)})
            line.receive()
            sys.stdout.flush()
            os._exit(1)  # the others wait for this rank, and the judge ends them
        line.send(answer)


def _warm_up() -> None:
    """Let Numba set itself up, which takes longer than many a first call that is timed."""
    if "numba" in sys.modules:
        import numba  # noqa: PLC0415

        numba.njit(_nothing)()


def _nothing() -> None:
    """What is compiled to warm up."""


class _Calls:
    """A batch of calls of a draft, prepared and then run."""

    def __init__(self, run: Kernel) -> None:
        self._run = run
        self._comm: Any = None
        self._batch: list[list[Any]] = []
        self._named: dict[str, Any] = {}

    def prepare(self, message: dict[str, Any], comm: Any, memory: Any) -> None:
        """Make views and a communicator; messages that were left behind reach no other batch."""
        from mpi4py import MPI  # noqa: PLC0415

        from outpace.tuner.mpi.calling import arguments, keywords  # noqa: PLC0415

        if self._comm is not None and self._comm != MPI.COMM_NULL:
            self._comm.Free()
        self._comm = comm.Dup()
        self._batch = [arguments(items, memory) for items in message["batch"]]
        self._named = keywords(self._run, message["sizes"])

    def run(self) -> None:
        """Run every call of the batch; ranks begin each of them together."""
        for given in self._batch:
            self._comm.Barrier()
            self._run(self._comm, *given, **self._named)
