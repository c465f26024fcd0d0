"""What a call takes on ranks that are not here.

Seconds on P ranks are the sum of three parts.

- *Computing*: that of the rank with the most to do, on a problem of its size in one process; see
  `outpace.tuner.mpi.scaling_runs`.
- *Latencies*: how many follow one another, by the virtual clock of the program itself on simulated
  ranks, where messages that are under way together count once.
- *Bytes* that the busiest rank receives, one after another through one port, counted there too.

The simulated ranks solve a smaller problem on the same process grid, and at most some tens of them
do. From there to the real problem and number of ranks both counts grow as those of the alpha-beta
model of the plan do (`outpace.codegen.mpi.cost`): nothing else is taken from that model.

Not in it: memory bandwidth and caches that ranks of one node share, contention in the network,
noise, and what a program computes to set up its messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, inf, isqrt
from types import CodeType
from typing import Any

import msgspec
import numpy as np

from outpace.codec import Value
from outpace.codegen.domain import allows
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.mpi.cost import Machine, cost
from outpace.codegen.mpi.drafts import mpi_drafts
from outpace.codegen.mpi.layout import Layout, cut_dims, default_grid, grid_dims
from outpace.codegen.mpi.local import numpy_kernel
from outpace.codegen.mpi.patterns import Pattern, recognise
from outpace.codegen.mpi.plan import Plan, collectives, exchanges
from outpace.codegen.reference import Reference
from outpace.codegen.splitting import ghosts, halo_of
from outpace.errors import UsageError
from outpace.kernels.languages.mpi import MPI
from outpace.kernels.rank_programs import on_grid
from outpace.model import Contract, Draft, Parameter
from outpace.split import Block
from outpace.tuner.simcomm import Options, installed, run_ranks
from outpace.tuner.simcomm.engine import current

Grid = Mapping[str, int]
_PENCILS = (Pattern.TRANSPOSE, Pattern.TRANSFORM)
_NEAR = (Pattern.MAP, Pattern.REDUCTION, Pattern.STENCIL)
"""Patterns in which a rank exchanges with few others."""
_MOST_SIMULATED, _MOST_WITH_ALL = 32, 16
"""Ranks that are simulated, of those patterns and of others."""
_SMALLEST_BLOCK = 4
"""Cells of a block of the smaller problem along each dim, unless a halo needs more."""
_SIMULATION_LIMIT = 120.0
"""Seconds after which a simulation is given up."""


class Network(Value, frozen=True):
    """What a message costs.

    Attributes:
        latency: Seconds for any message.
        seconds_per_byte: Seconds for each byte of it.
        origin: Where the two come from, for a person.
    """

    latency: float
    seconds_per_byte: float
    origin: str


@dataclass(frozen=True)
class Traffic:
    """What a call spends on messages, whatever the network.

    Attributes:
        latencies: Messages, or rounds of a collective, that follow one another.
        received: Bytes that the busiest rank receives.
    """

    latencies: float
    received: float

    def seconds(self, network: Network) -> float:
        """Time in a network."""
        return self.latencies * network.latency + self.received * network.seconds_per_byte

    def onward(self, other: Traffic, count: float) -> Traffic:
        """This, and so many times what another one has more."""
        return Traffic(
            self.latencies + count * (other.latencies - self.latencies),
            self.received + count * (other.received - self.received),
        )


@dataclass(frozen=True)
class Problem:
    """A problem on a number of ranks.

    Attributes:
        ranks: Number of ranks.
        sizes: Global dims and int arguments.
        grid: Parts of each dim of the process grid.
    """

    ranks: int
    sizes: dict[str, int]
    grid: dict[str, int]


class Model:
    """Predicts the default plan of a reference on any number of ranks."""

    def __init__(self, reference: Reference) -> None:
        """Find out how the reference is spread.

        Raises:
            ContractError: No pattern fits the reference.
        """
        self._reference, self._contract = reference, reference.contract
        self.pattern = recognise(reference.contract, reference.closure)
        self._drafts: dict[tuple[int, str], Draft] = {}

    def traffic(self, problem: Problem) -> Traffic:
        """What one call sends; the problem is never made at its own size.

        Raises:
            UsageError: The simulation found a fault, or took too long.
        """
        if problem.ranks == 1:
            return Traffic(0.0, 0.0)
        small = self._smaller(self._on_fewer_ranks(problem))
        name = self._contract.steps
        steps = 1 if name is None else problem.sizes[name]
        several = max(1, min(3, steps))
        once, longer = self._simulated(small, several)
        if several > 1:
            # Arrays that do not change travel before the first step alone.
            once = once.onward(longer, (steps - 1) / (several - 1))
        ours, theirs = self._estimated(problem), self._estimated(small)
        return Traffic(
            once.latencies * ours.latencies / max(theirs.latencies, 1e-9),
            once.received * ours.received / max(theirs.received, 1e-9),
        )

    def busiest(self, problem: Problem) -> dict[str, int]:
        """Sizes of a problem for one process that has as much to compute as the busiest rank."""
        sizes = dict(problem.sizes)
        for dim, parts in problem.grid.items():
            if self.pattern is Pattern.RING:  # own bodies times all bodies
                sizes[dim] = _root(ceil(sizes[dim] / parts) * sizes[dim])
                continue
            own = ceil(sizes[dim] / parts)
            low, high = (0, 0)
            if parts > 1 and isinstance(self._contract.split[dim], Block):
                low, high = ghosts(self._contract, dim, 1)
            sizes[dim] = min(own + low + high, sizes[dim])
        return sizes

    def draft(self, ranks: int, kernel: str) -> Draft:
        """The default plan for so many ranks around a local kernel, its halos one step deep."""
        key = (ranks, kernel)
        if key not in self._drafts:
            self._drafts[key] = _exchanging_each_step(mpi_drafts(self._reference, kernel, ranks)[0])
        return self._drafts[key]

    def _estimated(self, problem: Problem) -> Traffic:
        """By the alpha-beta model of the plan, as steps and patterns alone have it."""
        first = next(iter(exchanges(self.pattern)), None)
        combining = collectives(self._contract)[0] if self.pattern is Pattern.REDUCTION else None
        plan = Plan(self.pattern, problem.grid, exchange=first, collective=combining)
        sizes = {**problem.sizes}
        if self._contract.steps is not None:
            sizes[self._contract.steps] = 1
        latency, byte = Machine(1.0, 0.0, inf), Machine(0.0, 1.0, inf)
        estimate = partial(cost, plan, self._contract, sizes)
        return Traffic(estimate(latency), estimate(byte))

    # --- The smaller problem --------------------------------------------------------------------

    def _on_fewer_ranks(self, problem: Problem) -> Problem:
        """The same on no more ranks than are simulated."""
        most = _MOST_SIMULATED if self.pattern in _NEAR else _MOST_WITH_ALL
        if problem.ranks <= most:
            return problem
        return Problem(most, problem.sizes, default_grid(self._contract, problem.sizes, most))

    def _smaller(self, problem: Problem) -> Problem:
        """The smallest problem on the same grid whose blocks look like those of the real one."""
        # Every rank of a ring computes with all others' cells, here by loops that are interpreted.
        few = 1 if self.pattern is Pattern.RING else _SMALLEST_BLOCK
        least = max([few, *(2 * sum(halo_of(s)) for s in self._contract.split.values())])
        largest = max(problem.sizes.values(), default=1)
        while least < largest:
            sizes = {**problem.sizes, **self._shrunk(problem, least)}
            if allows(self._contract, sizes):
                return Problem(problem.ranks, sizes, problem.grid)
            least *= 2
        return problem

    def _shrunk(self, problem: Problem, least: int) -> dict[str, int]:
        """Extents of the dims that may be cut, blocks in proportion, none thinner than `least`."""
        parts = {dim: problem.grid.get(dim, 1) for dim in cut_dims(self._contract)}
        elsewhere = [d for d in parts if d not in grid_dims(self._contract)]
        most = problem.ranks if self.pattern in _PENCILS else max(problem.grid.values())
        parts.update(dict.fromkeys(elsewhere, most))
        blocks = {d: ceil(problem.sizes[d] / n) for d, n in parts.items()}
        cut = [blocks[d] for d, n in parts.items() if n > 1 and d not in elsewhere]
        factor = max(1.0, min(cut, default=1) / least)
        found = {}
        for dim, n in parts.items():
            block = blocks[dim] / factor if n > 1 and dim not in elsewhere else least
            wanted = max(least, self._minimum(dim), round(block))
            found[dim] = min(problem.sizes[dim], n * wanted)
        return found

    def _minimum(self, dim: str) -> int:
        return int(getattr(self._contract.split[dim], "minimum", 1))

    # --- The simulation -------------------------------------------------------------------------

    def _simulated(self, problem: Problem, steps: int) -> tuple[Traffic, Traffic]:
        """What a call of one step sends, and what one of so many does."""
        contract = self._contract
        draft = self.draft(problem.ranks, numpy_kernel(self._reference))
        code = compile(MPI.bind(on_grid(draft, problem.grid)), "<program>", "exec")
        inputs = draw_inputs(self._reference, Case(problem.sizes, 0))
        layout = Layout.of(contract, problem.sizes, problem.grid)
        lengths = [{}, {}] if contract.steps is None else [{contract.steps: n} for n in (1, steps)]
        options = Options(latency=1.0, seconds_per_byte=0.0, max_seconds=_SIMULATION_LIMIT)
        with installed(), _interpreted(), np.errstate(all="ignore"):
            program = partial(_solve, code, layout, inputs, lengths)
            outcome = run_ranks(problem.ranks, program, options=options)
        if outcome.fault is not None:
            raise UsageError(
                f"the default plan fails on {problem.ranks} simulated ranks: {outcome.fault}"
            )
        found = [
            Traffic(max(end - begin for begin, end, _ in calls), max(got for _, _, got in calls))
            for calls in zip(*outcome.results, strict=True)
        ]
        return found[0], found[1]


def _solve(
    code: CodeType,
    layout: Layout,
    inputs: Mapping[str, Any],
    lengths: Sequence[Mapping[str, int]],
    comm: Any,
) -> list[tuple[float, float, int]]:
    """One simulated rank, with its own copy of the program and its own blocks.

    Returns:
        Of each call when it began and ended, in latencies, and how many bytes came.
    """
    here = current()
    assert here is not None
    rank = here[1]
    names: dict[str, Any] = {"__name__": "program"}
    exec(code, names)  # noqa: S102  (our own templates around the reference)
    calls = []
    for changed in lengths:
        own = own_values(layout, {**inputs, **changed}, comm.Get_rank())
        comm.Barrier()  # after it all clocks are alike
        begun, received = rank.clock, rank.bytes_received
        names["run"](comm, *own, sizes={**layout.global_sizes, **changed})
        calls.append((begun, rank.clock, rank.bytes_received - received))
    return calls


def own_values(layout: Layout, inputs: Mapping[str, Any], rank: int) -> list[Any]:
    """What a program takes on a rank: copies of own blocks, scalars, then outputs."""
    contract: Contract = layout.contract
    given = [
        np.array(inputs[a.name][layout.own(a, rank)], order="C") if a.is_array else inputs[a.name]
        for a in contract.arguments
    ]
    return given + [np.empty(layout.shape(o, rank), o.dtype) for o in contract.outputs]


class _interpreted:  # noqa: N801  (a context manager)
    """Functions under Numba's decorators run as they are written: blocks are tiny."""

    def __enter__(self) -> None:
        import numba  # noqa: PLC0415

        self._before = numba.config.DISABLE_JIT
        numba.config.DISABLE_JIT = True

    def __exit__(self, *exc: object) -> None:
        import numba  # noqa: PLC0415

        numba.config.DISABLE_JIT = self._before


def _exchanging_each_step(draft: Draft) -> Draft:
    """With halos of one step first: then traffic grows evenly with the steps."""
    parameters = tuple(
        Parameter(p.name, (1, *(n for n in p.values if n != 1))) if p.name == "DEPTH" else p
        for p in draft.parameters
    )
    return msgspec.structs.replace(draft, parameters=parameters)


def _root(square: int) -> int:
    """The whole number whose square is nearest above."""
    return isqrt(max(0, square - 1)) + 1 if square else 0
