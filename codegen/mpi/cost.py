"""What a plan costs by the alpha-beta model: which are worth running first, not how long they take.

A message of m bytes takes alpha + beta * m; messages that are under way together share one alpha
and cost each a quarter of it in the processor. R. W. Hockney, "The communication challenge for
MPP: Intel Paragon and Meiko CS-2", Parallel Computing 20 (1994), 389-398. Collectives as in
R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of Collective Communication Operations in
MPICH", International Journal of High Performance Computing Applications 19 (2005), 49-66.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2, prod

import numpy as np

from outpace.codec import Value
from outpace.codegen.dims import parse_dim
from outpace.codegen.mpi.layout import Part, cuts
from outpace.codegen.mpi.patterns import Pattern
from outpace.codegen.mpi.plan import Collective, Corners, Exchange, Plan
from outpace.codegen.splitting import ghosts, halo_of
from outpace.model import Contract
from outpace.split import Block

_OVERHEAD = {
    Exchange.NONBLOCKING: 0.25,
    Exchange.PERSISTENT: 0.2,
    Exchange.NEIGHBOURHOOD: 0.3,
    Exchange.ALLTOALL: 0.3,
    Exchange.ALLGATHER: 0.2,
    Exchange.RING: 1.0,
    Exchange.BLOCKING: 1.0,
}
"""Share of alpha that a message costs besides those that it travels with."""
_STEPS_A_CALL = 2
"""Steps that a call of a kernel with time steps costs besides: it copies its state."""
_COPIES_OF_PIECES = 2
"""Copies of a block that is computed in pieces: what they need, and what they give."""


class Machine(Value, frozen=True):
    """What ranks and messages can do.

    Attributes:
        alpha: Latency of a message, seconds.
        beta: Seconds per byte.
        rate: Cells that a rank updates in a second, of the largest array of the reference.
    """

    alpha: float = 9e-6
    beta: float = 0.6e-9
    rate: float = 2e8


@dataclass(frozen=True)
class _Volume:
    """What the largest block of a plan holds and exchanges."""

    own: dict[str, int]
    local: dict[str, int]


def cost(plan: Plan, contract: Contract, sizes: Mapping[str, int], machine: Machine) -> float:
    """Estimated seconds of a call at these sizes, on the rank with the most to do."""
    steps = 1 if contract.steps is None else max(1, sizes[contract.steps])
    volume = _volume(plan, contract, sizes)
    largest = max(contract.parts, key=lambda part: prod(_extents(part, sizes)))
    match plan.pattern:
        case Pattern.STENCIL:
            return _stencil(plan, contract, volume, largest, steps, machine)
        case Pattern.REDUCTION:
            sent = _bytes(contract.outputs, sizes)
            return prod(_extents(largest, volume.own)) / machine.rate + _combining(
                plan, sent, machine
            )
        case Pattern.RING:  # every rank computes all of its rows with all of the others
            pairs = prod(volume.own.values()) * max(sizes[dim] for dim in plan.grid)
            return steps * (pairs / machine.rate + _gathering(plan, contract, sizes, machine))
        case _:
            work = prod(_extents(largest, volume.own)) / machine.rate
            return work + _gathering(plan, contract, sizes, machine)


def ranked(
    found: Sequence[Plan], contract: Contract, sizes: Mapping[str, int], machine: Machine
) -> list[Plan]:
    """Plans in the order of their cost, the cheapest first.

    Of equal ones those come first that cut early dims, whose ghost cells lie together in memory.
    """

    def key(plan: Plan) -> tuple[float, tuple[int, ...]]:
        late = tuple(-parts for parts in plan.grid.values())
        return float(f"{cost(plan, contract, sizes, machine):.6g}"), late

    return sorted(found, key=key)


def _volume(plan: Plan, contract: Contract, sizes: Mapping[str, int]) -> _Volume:
    own, local = dict(sizes), dict(sizes)
    for dim, parts in plan.grid.items():
        own[dim] = ceil(sizes[dim] / parts)
        is_padded = isinstance(contract.split[dim], Block) and parts > 1
        low, high = ghosts(contract, dim, plan.depth) if is_padded else (0, 0)
        local[dim] = min(own[dim] + low + high, sizes[dim])
    return _Volume(own, local)


def _stencil(
    plan: Plan, contract: Contract, volume: _Volume, largest: Part, steps: int, machine: Machine
) -> float:
    rounds = ceil(steps / plan.depth)
    cut = exchanged(plan, contract)
    inner = prod(_extents(largest, volume.own))
    local = prod(_extents(largest, volume.local))
    work = steps * local / machine.rate
    copied = _copies(plan, contract, rounds, cut) * local / machine.rate
    if not cut:
        return work + copied
    talk = rounds * _messages(plan, contract, volume, len(cut), machine)
    if not plan.overlap:
        return work + talk + copied
    hidden = min(steps * inner / machine.rate, talk)
    strips = 2 * max(0.0, work - steps * inner / machine.rate)  # ghost cells are computed twice
    return work + strips + talk - hidden + copied


def exchanged(plan: Plan, contract: Contract) -> list[str]:
    """The dims along which a stencil's ranks exchange ghost cells."""
    return [dim for dim, n in plan.grid.items() if n > 1 and any(halo_of(contract.split[dim]))]


def _copies(plan: Plan, contract: Contract, rounds: int, cut: list[str]) -> int:
    """How often a block is copied: into the program's memory, by the kernel's calls, in pieces."""
    calls = 0 if contract.steps is None else _STEPS_A_CALL * rounds
    if not cut and rounds == 1:
        return calls
    in_pieces = _COPIES_OF_PIECES * rounds if plan.overlap else 0
    is_sliced = plan.overlap and rounds == 1 and len(cut) == 1 and _comes_first(contract, cut[0])
    return calls if is_sliced else calls + 1 + in_pieces


def _comes_first(contract: Contract, dim: str) -> bool:
    """Whether pieces along a dim lie together in memory, in every array that it cuts."""
    places = [dim in parse_dim(t).names for part in contract.parts for t in (part.dims or ())[1:]]
    return not any(places)


def _messages(plan: Plan, contract: Contract, volume: _Volume, cut: int, machine: Machine) -> float:
    """Seconds that the messages of one exchange take."""
    moved = [part for part in contract.arguments if any(cuts(contract, part))]
    sent = max(0, _bytes(moved, volume.local) - _bytes(moved, volume.own, without_ghosts=True))
    phases, messages = (cut, 2 * cut) if plan.corners is Corners.PHASES else (1, 3**cut - 1)
    assert plan.exchange is not None
    together = phases + (messages - phases) * _OVERHEAD[plan.exchange]
    return min(messages, together) * machine.alpha + sent * machine.beta


def _combining(plan: Plan, sent: int, machine: Machine) -> float:
    ranks = prod(plan.grid.values())
    rounds = log2(ranks)
    if plan.collective is Collective.GATHER:
        return rounds * machine.alpha + ranks * sent * machine.beta
    times = 1 if plan.collective is Collective.ALLREDUCE else 2
    return times * rounds * (machine.alpha + sent * machine.beta)


def _gathering(plan: Plan, contract: Contract, sizes: Mapping[str, int], machine: Machine) -> float:
    """Time until a rank has what it needs of the cells of others."""
    ranks = prod(plan.grid.values())
    if plan.exchange is None or ranks == 1:
        return 0.0
    moved = _bytes([a for a in contract.arguments if a.is_array], sizes)
    share = {
        Pattern.PRODUCT: sum(1 / parts for parts in plan.grid.values()) / 2,
        Pattern.RING: 1.0,
        Pattern.TRANSFORM: 2 / ranks,
    }.get(plan.pattern, 1 / ranks)
    alphas = 1 + (ranks - 1) * _OVERHEAD[plan.exchange]
    return alphas * machine.alpha + share * moved * machine.beta


def _extents(part: Part, sizes: Mapping[str, int]) -> list[int]:
    return [parse_dim(dim).evaluate(sizes) for dim in part.dims or ()]


def _bytes(parts: Sequence[Part], sizes: Mapping[str, int], *, without_ghosts: bool = False) -> int:
    """Bytes of arrays at these sizes; without what axes such as `y+4` carry."""
    total = 0
    for part in parts:
        axes = [parse_dim(dim) for dim in part.dims or ()]
        spare = [a.constant if without_ghosts and a.terms else 0 for a in axes]
        extents = [a.evaluate(sizes) - s for a, s in zip(axes, spare, strict=True)]
        total += prod(extents) * np.dtype(part.dtype).itemsize
    return total
