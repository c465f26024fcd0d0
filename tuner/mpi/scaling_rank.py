"""One rank of a measured point; `outpace.tuner.mpi.scaling_runs` starts them all.

The clock is MPI's, read by the ranks themselves after a barrier, and the time of a call is the
longest over the ranks. A draft could falsify that, which is why nothing is promoted by it: what
runs here is the default plan.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np

from outpace.codec import decode
from outpace.model import Contract

MOST_CALLS = 15
LEAST_CALLS = 3
ENOUGH = 1.0
"""Seconds of timed calls after which no more than the least number of them is made."""
_SMALL, _LARGE = 8, 4 << 20
"""Bytes of the messages by which latency and bandwidth are told apart."""
_ROUND_TRIPS = {_SMALL: 200, _LARGE: 10}


class Request(msgspec.Struct, frozen=True):
    """What the ranks of one job measure.

    Attributes:
        contract: Of the reference, encoded.
        sizes: Global dims and int arguments.
        blocks: Of each rank, by the name of an array: first cell and end along every axis.
        scalars: Values of the other scalars, by name.
        complex_scalars: Those that are complex: real and imaginary part.
    """

    contract: str
    sizes: dict[str, int]
    blocks: list[dict[str, list[tuple[int, int]]]]
    scalars: dict[str, bool | int | float]
    complex_scalars: dict[str, tuple[float, float]] = {}


class Reply(msgspec.Struct, frozen=True):
    """What rank 0 found.

    Attributes:
        ranks: Number of ranks as MPI has it.
        seconds: Median of the timed calls.
        latency: Seconds of the smallest message; None on one rank.
        seconds_per_byte: Of a large one; None on one rank.
    """

    ranks: int
    seconds: float
    latency: float | None = None
    seconds_per_byte: float | None = None


def main(folder: Path) -> None:
    """Measure what is asked for; rank 0 leaves the reply."""
    from mpi4py import MPI  # noqa: PLC0415  (initialises MPI)

    from outpace.kernels.languages.mpi import MPI as LANGUAGE  # noqa: PLC0415
    from outpace.kernels.languages.mpi import takes_sizes  # noqa: PLC0415

    comm = MPI.COMM_WORLD
    request = msgspec.json.decode((folder / "request.json").read_bytes(), type=Request)
    contract = decode(request.contract, Contract)
    run = LANGUAGE.load(folder / "draft.py", contract, folder / "build")
    values = _values(folder, request, contract, comm.Get_rank())
    keywords = {"sizes": dict(request.sizes)} if takes_sizes(run) else {}
    written = [values[i].copy() if a.mutated else None for i, a in enumerate(contract.arguments)]

    def call() -> float:
        for value, before in zip(values, written, strict=False):
            if before is not None:
                value[...] = before
        comm.Barrier()
        begin = MPI.Wtime()
        run(comm, *values, **keywords)
        return float(comm.allreduce(MPI.Wtime() - begin, op=MPI.MAX))

    seconds = timed(call)
    latency, per_byte = _network(comm) if comm.Get_size() > 1 else (None, None)
    if comm.Get_rank() == 0:
        reply = Reply(comm.Get_size(), seconds, latency, per_byte)
        (folder / "reply.json").write_bytes(msgspec.json.encode(reply))


def timed(call: Callable[[], float]) -> float:
    """Median seconds of calls, of which the first, which may compile, does not count.

    Args:
        call: Gives its own time; on ranks the same to all, so that they agree when to end.
    """
    call()
    found: list[float] = []
    while len(found) < LEAST_CALLS or (len(found) < MOST_CALLS and sum(found) < ENOUGH):
        found.append(call())
    return median(found)


def _values(folder: Path, request: Request, contract: Contract, rank: int) -> list[Any]:
    """Own blocks of the inputs, which lie in files, scalars, and room for the outputs."""
    own = request.blocks[rank]
    found: list[Any] = []
    for argument in contract.arguments:
        name = argument.name
        if argument.is_array:
            whole = np.load(folder / f"{name}.npy", mmap_mode="r")
            found.append(np.array(whole[tuple(slice(*ends) for ends in own[name])], order="C"))
        elif name in request.complex_scalars:
            found.append(complex(*request.complex_scalars[name]))
        else:
            found.append(request.scalars[name])
    shapes = [[end - begin for begin, end in own[output.name]] for output in contract.outputs]
    return found + [np.zeros(n, o.dtype) for n, o in zip(shapes, contract.outputs, strict=True)]


def _network(comm: Any) -> tuple[float, float]:
    """Latency in seconds and seconds per byte of messages between the first two ranks."""
    from mpi4py import MPI  # noqa: PLC0415

    one_way: dict[int, float] = {}
    for size, count in _ROUND_TRIPS.items():
        buffer, times = np.zeros(size, np.uint8), []
        for _ in range(count):
            comm.Barrier()
            begin = MPI.Wtime()
            if comm.Get_rank() == 0:
                comm.Send(buffer, dest=1)
                comm.Recv(buffer, source=1)
            elif comm.Get_rank() == 1:
                comm.Recv(buffer, source=0)
                comm.Send(buffer, dest=0)
            times.append((MPI.Wtime() - begin) / 2)
        one_way[size] = median(times)
    latency, large = (float(x) for x in comm.bcast((one_way[_SMALL], one_way[_LARGE]), root=0))
    return latency, max(0.0, large - latency) / _LARGE
