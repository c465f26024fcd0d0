"""A contract in words and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from outpace.codegen.distributions import Distribution, default_distribution
from outpace.codegen.domain import reduction_length
from outpace.codegen.recorded import RecordedInputs
from outpace.model import Argument, Contract, Output, Workload
from outpace.split import Block, Boundary, Pencil, Reduced, Replicated, Ring, Split

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.codegen.reference import Reference

DERIVED_RULE = (
    "derived: |draft - hi| <= 4 |reference - hi| + 4 sqrt(L) * (change of hi when the inputs move "
    "by one rounding) + 2 u |hi|, where hi is the reference in higher precision, L the reduction "
    "length and u the unit round-off"
)
EXACT_RULE = "exact: every result is an integer or a bool"


def acceptance(contract: Contract) -> str:
    """How results of a draft are compared with the reference."""
    if contract.tolerance is not None:
        band = contract.tolerance
        rule = f"declared: |draft - reference| <= {band.atol:g} + {band.rtol:g} * |reference|"
    elif all(np.dtype(result.dtype).kind in "biu" for result in contract.results):
        rule = EXACT_RULE
    else:
        rule = DERIVED_RULE
    return f"{rule}; sums may not be reassociated" if contract.reproducible else rule


def described_inputs(reference: Reference) -> dict[str, str]:
    """What each argument that is drawn is drawn from, by name."""
    given = reference.inputs
    chosen: Mapping[str, Distribution] = given if isinstance(given, Mapping) else {}
    workload = reference.contract.workloads[0]
    fixed = {*workload.sizes, *workload.scalars}
    described = {}
    for argument in reference.contract.arguments:
        if argument.name in fixed:
            continue
        if isinstance(given, RecordedInputs):
            described[argument.name] = given.__name__
        elif callable(given):
            described[argument.name] = f"{getattr(given, '__name__', 'a callable')}(sizes, rng)"
        else:
            drawn = chosen.get(argument.name) or default_distribution(argument.dtype)
            described[argument.name] = repr(drawn)
    return described


def contract_payload(contract: Contract) -> dict[str, Any]:
    """The contract as JSON."""
    band = contract.tolerance
    return {
        "arguments": [
            {
                "name": a.name,
                "dtype": a.dtype,
                "dims": None if a.dims is None else list(a.dims),
                "mutated": a.mutated,
            }
            for a in contract.arguments
        ],
        "outputs": [
            {"name": o.name, "dtype": o.dtype, "dims": list(o.dims), "scalar": o.scalar}
            for o in contract.outputs
        ],
        "dims": list(contract.dims),
        "workloads": {w.name: {**w.sizes, **w.scalars} for w in contract.workloads},
        "where": contract.where,
        "reduction": contract.reduction,
        "tolerance": None if band is None else {"rtol": band.rtol, "atol": band.atol},
        "reproducible": contract.reproducible,
        **annotation_payload(contract.split, contract.steps, contract.reduce),
    }


def annotation_payload(
    split: Mapping[str, Split], steps: str | None, reduce: Mapping[str, Reduced]
) -> dict[str, Any]:
    """How a reference may be cut over ranks, as JSON."""
    return {
        "split": {name: _split_payload(one) for name, one in split.items()},
        "steps": steps,
        "reduce": {
            name: {"operation": one.operation.value, "reassociable": one.reassociable}
            for name, one in reduce.items()
        },
    }


def _split_payload(split: Split) -> dict[str, Any]:
    """How a dim may be cut, as JSON; `kind` is `block`, `replicated`, `ring` or `pencil`."""
    kind = {"kind": type(split).__name__.lower()}
    match split:
        case Block(halo=halo, minimum=minimum, boundary=boundary):
            return {**kind, "halo": halo, "minimum": minimum, "boundary": boundary.value}
        case Ring(minimum=minimum) | Pencil(minimum=minimum):
            return {**kind, "minimum": minimum}
        case Replicated():
            return kind


def show_contract(console: Console, reference: Reference) -> None:
    """Print a contract for a person to check."""
    contract = reference.contract
    console.print(Text(reference.name, style="bold"))
    if reference.file is not None:
        console.print(Text(f"  in {reference.file}", style="dim"), soft_wrap=True)
    console.print(_parameters(reference))
    console.print(_sizes(contract))
    facts = {
        "accepted": acceptance(contract),
        "where": contract.where,
        "split": ", ".join(_split(name, one) for name, one in contract.split.items()),
        "time steps": contract.steps,
        "reduced": ", ".join(_reduced(name, one) for name, one in contract.reduce.items()),
    }
    for name, value in facts.items():
        if value:
            console.print(Text.assemble((f"{name}  ", "bold"), value), soft_wrap=True)


def _parameters(reference: Reference) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("name", "role", "dtype", "dims", "drawn from"):
        table.add_column(name, overflow="fold")
    drawn = described_inputs(reference)
    parts: list[Argument | Output] = [*reference.contract.arguments, *reference.contract.outputs]
    for part in parts:
        dims = "scalar" if _is_scalar(part) else " ".join(part.dims or ())
        inputs = "the workload" if isinstance(part, Argument) else ""
        source = drawn.get(part.name, inputs)
        table.add_row(Text(part.name), _role(part), part.dtype, Text(dims), Text(source))
    return table


def _is_scalar(part: Argument | Output) -> bool:
    return part.scalar if isinstance(part, Output) else not part.is_array


def _role(part: Argument | Output) -> str:
    if isinstance(part, Output):
        return "output"
    return "in place" if part.mutated else "input"


def _sizes(contract: Contract) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("workload", "sizes", "reduction length"):
        table.add_column(name, overflow="fold")
    for workload in contract.workloads:
        length = reduction_length(contract, workload.sizes)
        table.add_row(Text(workload.name), Text(_values(workload)), str(length))
    return table


def _values(workload: Workload) -> str:
    values: dict[str, float] = {**workload.sizes, **workload.scalars}
    return " ".join(f"{name}={value:g}" for name, value in values.items())


def _split(name: str, split: Split) -> str:
    match split:
        case Block(halo=halo, boundary=boundary):
            ends = " periodic" if boundary is Boundary.PERIODIC else ""
            return f"{name} with halo {halo}{ends}"
        case Ring():
            return f"{name} round a ring"
        case Pencil():
            return f"{name} as a pencil"
        case Replicated():
            return f"{name} whole"


def _reduced(name: str, reduced: Reduced) -> str:
    order = "" if reduced.reassociable else ", in order"
    return f"{name} by {reduced.operation.value}{order}"
