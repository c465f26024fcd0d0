"""Scaling curves: measured on as many ranks as there are cores, predicted beyond."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from outpace.codegen.dims import sizes_text
from outpace.codegen.domain import allows
from outpace.codegen.mpi.cost import Machine
from outpace.codegen.mpi.layout import default_grid, grid_dims
from outpace.codegen.mpi.local import default_kernel
from outpace.codegen.reference import Reference
from outpace.errors import ContractError, UsageError
from outpace.kernels import target
from outpace.model import Workload
from outpace.tuner.mpi import launch
from outpace.tuner.mpi.scaling_model import Model, Network, Problem
from outpace.tuner.mpi.scaling_runs import Runs

Progress = Callable[[str], None]


class Source(StrEnum):
    """Where a time comes from."""

    MEASURED = "measured"
    PREDICTED = "predicted"


@dataclass(frozen=True)
class Point:
    """One number of ranks.

    Attributes:
        ranks: Number of ranks.
        source: Whether the time was measured.
        seconds: Of one call.
        predicted: Seconds by the model, also where it was measured.
        computing: Of these, those in which the busiest rank computes.
        sizes: Global dims and int arguments.
        grid: Parts of each dim of the process grid.
        speedup: Over the point with the fewest ranks; of a weak curve, in work done a second.
        efficiency: Speedup over how many times more ranks there are.
    """

    ranks: int
    source: Source
    seconds: float
    predicted: float
    computing: float
    sizes: dict[str, int]
    grid: dict[str, int]
    speedup: float
    efficiency: float


@dataclass(frozen=True)
class Curve:
    """How a reference scales over ranks.

    Attributes:
        reference: Its name.
        workload: Name of the workload.
        weak: Whether the problem grows with the ranks.
        network: By which messages were predicted.
        points: By number of ranks.
        notes: What a reader should know, a sentence each.
    """

    reference: str
    workload: str
    weak: bool
    network: Network
    points: tuple[Point, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Timed:
    problem: Problem
    computing: float
    measured: float | None


def scaling(
    reference: Reference,
    ranks: Sequence[int],
    *,
    workload: str | None = None,
    weak: bool = False,
    latency: float | None = None,
    seconds_per_byte: float | None = None,
    progress: Progress = lambda _: None,
) -> Curve:
    """Measure and predict the default plan of a reference.

    Args:
        reference: Its contract says how it may be cut.
        ranks: Numbers of ranks, ascending.
        workload: Name of a workload; by default the largest.
        weak: Let every rank keep a block as large as the workload's.
        latency: Seconds of a message in the network that is asked about; None: as measured here.
        seconds_per_byte: The same for each byte.
        progress: Told what is done now.

    Raises:
        ContractError: The contract has no `split`, no pattern fits, or no such workload.
        UsageError: A weak problem is outside the domain of the contract.
        EnvironmentError_: Ranks that were started failed.
    """
    contract = reference.contract
    if not grid_dims(contract):
        raise ContractError(
            f"{reference.name} does not say how it may be cut over ranks; add split= to its "
            'decorator, such as split={"y": Block(halo=1)}'
        )
    chosen = _workload(reference, workload)
    model = Model(reference)
    problems = [_problem(reference, chosen, count, weak=weak) for count in ranks]
    kernel = default_kernel(reference, strict=True)
    reason = launch.unavailable()
    most = 0 if reason is not None else target.hardware().cores
    notes = _notes(reason)
    found: Network | None = None
    timed: list[_Timed] = []
    with Runs(reference, chosen) as runs:
        for problem in problems:
            progress(f"{problem.ranks} ranks: computing")
            computing = runs.computing(model.draft(1, kernel), model.busiest(problem), chosen.sizes)
            measured = None
            if problem.ranks <= most:
                progress(f"{problem.ranks} ranks: mpiexec")
                reply = runs.measured(model.draft(problem.ranks, kernel), problem)
                measured = reply.seconds
                if found is None and reply.latency is not None:
                    found = Network(reply.latency, reply.seconds_per_byte or 0.0, "measured here")
            timed.append(_Timed(problem, computing, measured))
    network = _network(found, latency, seconds_per_byte)
    predicted = []
    for one in timed:
        progress(f"{one.problem.ranks} ranks: messages")
        predicted.append(one.computing + model.traffic(one.problem).seconds(network))
    points = _points(timed, predicted, weak=weak)
    return Curve(reference.name, chosen.name, weak, network, points, tuple(notes))


def _workload(reference: Reference, name: str | None) -> Workload:
    workloads = reference.contract.workloads
    if name is None:
        return max(workloads, key=lambda w: sum(w.sizes.values()))
    try:
        return reference.contract.workload(name)
    except KeyError:
        names = ", ".join(w.name for w in workloads)
        raise ContractError(f"{reference.name} has no workload {name}; it has {names}") from None


def _problem(reference: Reference, workload: Workload, ranks: int, *, weak: bool) -> Problem:
    contract, sizes = reference.contract, dict(workload.sizes)
    grid = default_grid(contract, sizes, ranks)
    if weak:
        sizes |= {dim: sizes[dim] * parts for dim, parts in grid.items()}
        if not allows(contract, sizes):
            raise UsageError(
                f"on {ranks} ranks the problem would be {sizes_text(sizes)}, which is outside the "
                f"domain `{contract.where}`; leave that number of ranks out"
            )
    return Problem(ranks, sizes, grid)


def _notes(reason: str | None) -> list[str]:
    """What a reader should know of this machine before anything is run on it."""
    found = [] if reason is None else [f"every point is predicted: {reason}"]
    cores, load = target.hardware().cores, os.getloadavg()[0]
    if load > cores / 2:
        found.append(
            f"the machine was busy (load {load:.1f} on {cores} cores): times here are too long"
        )
    return found


def _network(
    found: Network | None, latency: float | None, seconds_per_byte: float | None
) -> Network:
    """What was asked for, else what was measured, else what is usual within one node."""
    usual = Machine()
    assumed = Network(usual.alpha, usual.beta, "assumed, as is usual within a node")
    base = found or assumed
    if latency is None and seconds_per_byte is None:
        return base
    origin = "given" if None not in (latency, seconds_per_byte) else f"given, else {base.origin}"
    return Network(
        base.latency if latency is None else latency,
        base.seconds_per_byte if seconds_per_byte is None else seconds_per_byte,
        origin,
    )


def _points(
    timed: Sequence[_Timed], predicted: Sequence[float], *, weak: bool
) -> tuple[Point, ...]:
    """Every time beside that of the fewest ranks."""
    seconds = [
        guess if one.measured is None else one.measured
        for one, guess in zip(timed, predicted, strict=True)
    ]
    fewest = timed[0].problem.ranks
    points = []
    for one, own, guess in zip(timed, seconds, predicted, strict=True):
        more = one.problem.ranks / fewest
        speedup = seconds[0] / own * (more if weak else 1.0)
        source = Source.PREDICTED if one.measured is None else Source.MEASURED
        points.append(
            Point(
                one.problem.ranks,
                source,
                own,
                guess,
                one.computing,
                one.problem.sizes,
                one.problem.grid,
                speedup,
                speedup / more,
            )
        )
    return tuple(points)
