"""Drafts in the language `mpi`: a program a structural choice, with its search space."""

from __future__ import annotations

from outpace.codegen.dims import parse_dim
from outpace.codegen.mpi.emit import Program, grid_parameter, program_text
from outpace.codegen.mpi.layout import default_grid, grid_dims
from outpace.codegen.mpi.patterns import Pattern, recognise, transform_of
from outpace.codegen.reference import Reference
from outpace.codegen.splitting import carried, halo_of
from outpace.model import Combination, Contract, Draft, Parameter, Provenance, Scalar

LANGUAGE = "mpi"
_DEPTHS = (1, 2, 4, 8)
_STENCIL_MODES = ("nonblocking", "blocking", "persistent", "neighbourhood")
_COLLECTIVE_MODES = ("alltoall", "nonblocking", "blocking")
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
            problem, such as `outpace.codegen.mpi.local.numba_kernel` gives.
        ranks: Number of ranks for which the process grid is chosen.
        drafter: Name for the drafts' provenance.

    Raises:
        ContractError: No pattern fits the reference; the message says why.
        DraftError: The kernel defines a name that the program needs for itself.
    """
    contract = reference.contract
    pattern = recognise(contract, reference.closure)
    drafts = []
    for way in _ways(contract, pattern):
        parameters, constraints = search_space(contract, pattern, way, ranks)
        plan = _in_words(reference.closure.name, contract, pattern, way)
        transform = (transform_of(reference.closure) or "").removesuffix("2")
        embedded = "" if pattern is Pattern.TRANSFORM else kernel
        text = program_text(Program(contract, pattern, way, embedded, plan, parameters, transform))
        idea = f"{pattern}, cut along {' and '.join(grid_dims(contract))}{_carried_words(way)}"
        flags: dict[str, Scalar] = {"grid": " ".join(grid_dims(contract))}
        drafts.append(
            Draft(LANGUAGE, text, parameters, constraints, flags, Provenance(drafter, idea))
        )
    return tuple(drafts)


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
    if pattern is Pattern.STENCIL:
        depths = _depths(contract) if way or contract.mutated else (1,)
        if contract.steps is not None and (way or contract.mutated):
            parameters.append(Parameter("DEPTH", depths))
        parameters.append(Parameter("EXCHANGE", _STENCIL_MODES))
        if len(grid_dims(contract)) > 1:
            parameters.append(Parameter("CORNERS", ("phases", "diagonal")))
            constraints.append("EXCHANGE != 'neighbourhood' or CORNERS == 'phases'")
        if _can_overlap(contract):
            parameters.append(Parameter("OVERLAP", (False, True)))
            constraints.append("not OVERLAP or EXCHANGE in ('nonblocking', 'persistent')")
    elif pattern in (Pattern.TRANSPOSE, Pattern.TRANSFORM, Pattern.RING):
        parameters.append(Parameter("EXCHANGE", _COLLECTIVE_MODES))
    elif pattern is Pattern.PRODUCT:
        parameters.append(Parameter("EXCHANGE", _COLLECTIVE_MODES[1:]))
    elif pattern is Pattern.REDUCTION and (collectives := _collectives(contract)):
        parameters.append(Parameter("COLLECTIVE", collectives))
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


def _depths(contract: Contract) -> tuple[int, ...]:
    """Steps between exchanges for which the ghost cells are fewer than half of a workload."""
    found = []
    for depth in _DEPTHS:
        widths = {dim: sum(halo_of(contract.split[dim])) * depth for dim in grid_dims(contract)}
        if any(
            all(widths[dim] * 2 <= w.sizes[dim] for dim in widths)
            and _steps(contract, w.sizes) >= depth
            for w in contract.workloads
        ):
            found.append(depth)
    return tuple(dict.fromkeys([1, *found]))


def _steps(contract: Contract, sizes: dict[str, int]) -> int:
    return 1 if contract.steps is None else sizes[contract.steps]


def _can_overlap(contract: Contract) -> bool:
    """Whether pieces of a block can be computed apart: nothing is written in place."""
    dims = grid_dims(contract)
    padded = [
        text
        for output in contract.outputs
        for text in output.dims
        if parse_dim(text).constant and set(parse_dim(text).names) & set(dims)
    ]
    return not contract.mutated and not padded


def _collectives(contract: Contract) -> tuple[str, ...]:
    """How partial results may be combined; in order alone where order or NaN matters."""
    dtypes = {output.name: output.dtype for output in contract.outputs}
    for name, reduced in contract.reduce.items():
        picks = reduced.operation in (Combination.MINIMUM, Combination.MAXIMUM)
        if (not reduced.reassociable or contract.reproducible) or (
            picks and dtypes[name].startswith("float")
        ):
            return ("gather",)
    return ("allreduce", "reduce", "gather")


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
        Pattern.RING: "Every rank needs all cells.",
    }
    text = f"{name} over MPI ranks, cut along {dims}. {said[pattern]}"
    if way or (contract.steps is not None and contract.mutated):
        text += " DEPTH steps are made between exchanges."
    return text + _carried_words(way).capitalize().replace(", ", " ", 1)


def _carried_words(way: dict[str, str]) -> str:
    if not way:
        return ""
    return ", " + ", ".join(f"{output} becomes {source}" for output, source in way.items())
