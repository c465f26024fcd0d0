"""Which programs are worth running first, by the alpha-beta cost of their plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from outpace.codegen.dims import shape_of
from outpace.codegen.mpi.cost import Machine, exchanged, ranked
from outpace.codegen.mpi.patterns import Pattern, recognise
from outpace.codegen.mpi.plan import Plan, plans
from outpace.codegen.reference import Reference
from outpace.model import Contract, Draft, Variant


def promising(
    reference: Reference,
    drafts: Sequence[Draft],
    ranks: int,
    sizes: Mapping[str, int],
    machine: Machine,
) -> list[Variant]:
    """The variants of programs, those that should cost least first.

    Args:
        reference: What they are programs of.
        drafts: As `outpace.codegen.mpi.drafts.mpi_drafts` gives them.
        ranks: Number of ranks.
        sizes: Of the workload that counts.
        machine: What ranks and messages can do.

    Raises:
        ContractError: No pattern fits the reference.
    """
    contract = reference.contract
    pattern = recognise(contract, reference.closure)
    distinct: dict[tuple[object, ...], Plan] = {}
    for plan in ranked(plans(contract, pattern, sizes, ranks), contract, sizes, machine):
        distinct.setdefault(_what_differs(plan, contract), plan)
    found: dict[str, Variant] = {}
    for plan in distinct.values():
        for draft in drafts:
            values = {p.name: plan.params.get(p.name, p.values[0]) for p in draft.parameters}
            if all(values[p.name] in p.values for p in draft.parameters):
                variant = Variant(draft, values)
                found.setdefault(variant.hash, variant)
    defaults = [Variant(d, {p.name: p.values[0] for p in d.parameters}) for d in drafts]
    for variant in defaults:  # where no plan has the values that a draft declares
        found.setdefault(variant.hash, variant)
    return list(found.values())


def arrangement(variant: Variant) -> tuple[object, ...]:
    """What a program does between messages; variants that share it differ in how those travel."""
    how = ("EXCHANGE", "CORNERS")
    values = {name: value for name, value in variant.params.items() if name not in how}
    return (variant.draft.hash, *sorted(values.items()))


def one_of_each(variants: Sequence[Variant]) -> list[Variant]:
    """The first variant of every arrangement, in the order given."""
    found: dict[tuple[object, ...], Variant] = {}
    for variant in variants:
        found.setdefault(arrangement(variant), variant)
    return list(found.values())


def _what_differs(plan: Plan, contract: Contract) -> tuple[object, ...]:
    """A plan without what makes no difference: how nothing is exchanged, corners of strips."""
    cut = [dim for dim, parts in plan.grid.items() if parts > 1]
    if plan.pattern is Pattern.STENCIL:
        cut = exchanged(plan, contract)
    how = (plan.exchange, plan.overlap, plan.collective) if cut else ()
    corners = plan.corners if len(cut) > 1 else None
    return (*plan.grid.values(), plan.depth, corners, *how)


def machine_of(reference: Reference, sizes: Mapping[str, int], seconds: float) -> Machine:
    """The machine model with the rate at which a serial kernel was seen to update cells.

    Args:
        reference: What it computes.
        sizes: At which sizes.
        seconds: Of one call.
    """
    contract = reference.contract
    steps = 1 if contract.steps is None else max(1, sizes[contract.steps])
    cells = max(prod(shape_of(part.dims or (), sizes)) for part in contract.parts)
    return Machine(rate=max(1.0, steps * cells) / seconds)
