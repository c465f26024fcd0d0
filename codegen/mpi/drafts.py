"""Drafts in the language `mpi`: a program a structural choice, with its search space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import product

from outpace.codegen.mpi.cost import Machine, cost
from outpace.codegen.mpi.embedded import embedded_c
from outpace.codegen.mpi.emit import Program, program_text
from outpace.codegen.mpi.layout import default_grid, grid_dims
from outpace.codegen.mpi.patterns import Pattern, recognise, transform_of
from outpace.codegen.mpi.plan import (
    Corners,
    Plan,
    can_overlap,
    collectives,
    depths,
    exchanges,
    grid_parameter,
    is_reached,
)
from outpace.codegen.mpi.refusals import refuse_chains
from outpace.codegen.mpi.rows import rows_kernel
from outpace.codegen.mpi.rows_c import rows_kernel_c
from outpace.codegen.reference import Reference
from outpace.codegen.splitting import carried, halo_of
from outpace.errors import NotLifted
from outpace.model import Contract, Draft, Parameter, Provenance, Scalar

LANGUAGE = "mpi"
_MOST_WAYS = 2
"""Ways in which results become inputs that are drafted, where the contract leaves it open."""


def mpi_drafts(
    reference: Reference, kernel: str, ranks: int, *, drafter: str = "builtin"
) -> tuple[Draft, ...]:
    """Programs for a number of ranks around a local kernel, the most promising first.

    Each is right on any number of ranks; with another number than the process grid has places it
    takes the grid of `outpace.codegen.mpi.layout.default_grid`.

    Args:
        reference: The reference; its annotation is taken as proved.
        kernel: Source of a module that defines `kernel(<inputs>, <outputs>)` for the serial
            problem, from `outpace.codegen.mpi.local`: `kernel_of` a variant, or `default_kernel`.
        ranks: Number of ranks for which the process grid is chosen.
        drafter: Name for the drafts' provenance.

    Raises:
        ContractError: No pattern fits the reference, or there are no plans for it yet; the message
            says why.
        DraftError: The kernel defines a name that the program needs for itself.
    """
    contract = reference.contract
    pattern = recognise(contract, reference.closure)
    refuse_chains(reference)
    drafts = []
    for way, (local, note) in product(
        _ways(contract, pattern), _kernels(reference, pattern, kernel)
    ):
        parameters, constraints = search_space(contract, pattern, way, ranks)
        plan = _in_words(reference.closure.name, contract, pattern, way)
        transform = (transform_of(reference.closure) or "").removesuffix("2")
        by_rows = local is not kernel and pattern is Pattern.RING
        text = program_text(
            Program(contract, pattern, way, local, plan, parameters, transform, by_rows)
        )
        dims = grid_dims(contract)
        idea = f"{pattern}, cut along {' and '.join(dims)}{_carried_words(way)}{note}"
        flags: dict[str, Scalar] = {"grid": " ".join(dims)}
        drafts.append(
            Draft(LANGUAGE, text, parameters, constraints, flags, Provenance(drafter, idea))
        )
    return tuple(drafts)


def _kernels(reference: Reference, pattern: Pattern, kernel: str) -> list[tuple[str, str]]:
    """Local kernels, and what is to be said of them.

    Those for a ring compute own rows alone, in C where the kernel given is in C; the strict one
    comes first.
    """
    if pattern is Pattern.TRANSFORM:
        return [("", "")]
    dims = grid_dims(reference.contract)
    if pattern is not Pattern.RING or len(dims) > 1:
        return [(kernel, "")]
    makers = [rows_kernel_c, rows_kernel] if embedded_c(kernel) is not None else [rows_kernel]
    choices = (False,) if reference.contract.reproducible else (False, True)
    for make in makers:
        with suppress(NotLifted):
            return [
                (make(reference, dims[0], fastmath=fast), ", fastmath" * fast) for fast in choices
            ]
    return [(kernel, "")]


def _ways(contract: Contract, pattern: Pattern) -> tuple[dict[str, str], ...]:
    if contract.steps is None or pattern is Pattern.RING:
        return ({},)
    found = carried(contract)
    complete = [way for way in found if contract.mutated or len(way) == len(contract.outputs)]
    return tuple(complete[:_MOST_WAYS]) or ({},)


def search_space(
    contract: Contract, pattern: Pattern, way: dict[str, str], ranks: int
) -> tuple[tuple[Parameter, ...], tuple[str, ...]]:
    """Parameters of a program and the constraints between them.

    Args:
        contract: Of the reference.
        pattern: Its pattern.
        way: For each output that is the state of the next step, the input that it becomes.
        ranks: Number of ranks.
    """
    parameters = list(_grid_parameters(contract, ranks))
    constraints = [f"{' * '.join(p.name for p in parameters)} == {ranks}"] if parameters else []
    several = len(grid_dims(contract)) > 1
    if way or contract.mutated:
        deep = _useful_depths(contract, depths(contract, pattern))
        if len(deep) > 1:
            best = _cheapest(contract, pattern, deep, ranks)
            parameters.append(Parameter("DEPTH", tuple(dict.fromkeys([best, *deep]))))
    if modes := exchanges(pattern):
        parameters.append(Parameter("EXCHANGE", tuple(map(str, modes))))
    if pattern is Pattern.STENCIL and several:
        parameters.append(Parameter("CORNERS", tuple(map(str, Corners))))
        constraints.append("EXCHANGE != 'neighbourhood' or CORNERS == 'phases'")
    if pattern is Pattern.STENCIL and can_overlap(contract):
        is_once = contract.steps is None  # which then needs no copy of the block
        parameters.append(Parameter("OVERLAP", (is_once, not is_once)))
        constraints.append("not OVERLAP or EXCHANGE in ('nonblocking', 'persistent')")
    if pattern is Pattern.REDUCTION:
        parameters.append(Parameter("COLLECTIVE", tuple(map(str, collectives(contract)))))
    return tuple(parameters), tuple(constraints)


def _grid_parameters(contract: Contract, ranks: int) -> tuple[Parameter, ...]:
    """The parts of each dim, where there is a choice; the default grid's first."""
    dims = grid_dims(contract)
    if len(dims) < 2:
        return ()
    largest = max((w.sizes for w in contract.workloads), key=lambda s: sum(s.values()), default={})
    preferred = default_grid(contract, {**dict.fromkeys(dims, ranks), **largest}, ranks)
    divisors = [parts for parts in range(1, ranks + 1) if ranks % parts == 0]
    return tuple(
        Parameter(grid_parameter(dim), tuple(dict.fromkeys([preferred[dim], *divisors])))
        for dim in dims
    )


def _useful_depths(contract: Contract, found: Sequence[int]) -> tuple[int, ...]:
    """Depths that some workload reaches, with ghost cells thinner than half of it."""

    def fits(depth: int, sizes: Mapping[str, int]) -> bool:
        dims = grid_dims(contract)
        thin = all(2 * depth * sum(halo_of(contract.split[d])) <= sizes[d] for d in dims)
        return thin and is_reached(contract, depth, sizes)

    useful = [d for d in found if any(fits(d, w.sizes) for w in contract.workloads)]
    return tuple(dict.fromkeys([1, *useful]))


def _cheapest(contract: Contract, pattern: Pattern, deep: Sequence[int], ranks: int) -> int:
    """The depth that should cost least in the largest workload, on the default grid."""
    sizes = max((w.sizes for w in contract.workloads), key=lambda s: sum(s.values()))
    grid = default_grid(contract, sizes, ranks)
    mode, corners = exchanges(pattern)[0], Corners.PHASES

    def seconds(depth: int) -> float:
        return cost(Plan(pattern, grid, depth, mode, corners), contract, sizes, Machine())

    return min(deep, key=seconds)


def _in_words(name: str, contract: Contract, pattern: Pattern, way: dict[str, str]) -> str:
    """The plan, for a reader of the program."""
    dims = " and ".join(grid_dims(contract))
    said = {
        Pattern.MAP: "Every rank computes its own block; nothing is exchanged.",
        Pattern.REDUCTION: "Every rank reduces its own block; the results are combined.",
        Pattern.STENCIL: (
            "Every rank computes its own block with ghost cells around it, which it gets from its "
            "neighbours."
        ),
        Pattern.PRODUCT: (
            "Every rank gathers the rows and columns that its block of the result needs."
        ),
        Pattern.TRANSPOSE: "Every rank gathers the columns that become its rows.",
        Pattern.TRANSFORM: "Transforms by rows, an exchange, transforms by columns, and back.",
        Pattern.RING: "Every rank computes its own rows, and gets those of all others.",
    }
    text = f"{name} over MPI ranks, cut along {dims}. {said[pattern]}"
    if way or (contract.steps is not None and contract.mutated):
        text += " DEPTH steps are made between exchanges."
    return text + _carried_words(way).capitalize().replace(", ", " ", 1)


def _carried_words(way: dict[str, str]) -> str:
    if not way:
        return ""
    return ", " + ", ".join(f"{output} becomes {source}" for output, source in way.items())
