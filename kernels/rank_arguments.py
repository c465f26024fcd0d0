"""What a rank passes to a distributed function: which array is which, and whether it fits."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, TypeVar

import numpy as np

from outpace.codegen.dims import bind_shapes
from outpace.codegen.mpi.layout import Layout, Part, cuts
from outpace.codegen.reference import Reference
from outpace.codegen.structured import taken_apart
from outpace.errors import ContractError
from outpace.kernels.adopting import adopted
from outpace.kernels.arguments import Unfit, fit_arguments, refuse_overlap
from outpace.model import Contract

T = TypeVar("T")


def attempted(work: Callable[[], T]) -> tuple[T | None, str | None]:
    """The result of what one rank does by itself, or what is wrong: others must be told."""
    try:
        return work(), None
    except (ContractError, Unfit) as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001  (a rank that raised alone would leave others waiting)
        return None, f"{type(error).__name__}: {error}"


def named(
    values: Sequence[Any], by_name: Mapping[str, Any], order: Sequence[Part], contract: Contract
) -> dict[str, Any]:
    """Values by the name of the argument or output that each is.

    Args:
        values: Given by position.
        by_name: Given by name.
        order: What positions mean.
        contract: Of the function.

    Raises:
        ContractError: There are too many, none, or names that mean nothing.
    """
    if len(values) > len(order):
        names = ", ".join(part.name for part in order) or "none"
        raise ContractError(f"{len(values)} arrays were given by position; there are: {names}")
    found = {part.name: value for part, value in zip(order, values, strict=False)}
    known = {part.name for part in contract.parts if part.dims is not None}
    for name, value in by_name.items():
        if name not in known or name in found:
            what = "was given twice" if name in found else f"is none of {', '.join(sorted(known))}"
            raise ContractError(f"the array {name} {what}")
        found[name] = value
    if not found:
        raise ContractError("no array was given")
    return found


def bound_wholes(contract: Contract, given: dict[str, Any]) -> dict[str, int]:
    """Sizes of whole arrays; those of another library on the CPU are replaced by NumPy's.

    Raises:
        ContractError: One is not what the annotation says.
    """
    shapes = []
    for argument in contract.arguments:
        if argument.name in given:
            given[argument.name] = adopted(argument, given[argument.name])
            _check(argument, given[argument.name])
            shapes.append((argument.name, argument.dims or (), given[argument.name].shape))
    return bind_shapes(shapes, {})


def bound_blocks(
    given: Mapping[str, Any], layout: Layout, rank: int, known: Mapping[str, int]
) -> dict[str, int]:
    """Sizes of the whole problem, of which a rank has these own blocks.

    Args:
        given: Blocks by name.
        layout: Made for the extents of the dims that are cut.
        rank: Which has them.
        known: Those extents, and int arguments.

    Raises:
        ContractError: One has another dtype or shape than the rank owns.
    """
    parts = {part.name: part for part in layout.contract.parts}
    whole = []
    for name, block in given.items():
        part = parts[name]
        _check(part, block)
        pairs = zip(part.dims or (), block.shape, _is_cut(layout, part), strict=True)
        axes = [(dim, extent) for dim, extent, is_cut in pairs if not is_cut]
        whole.append((name, [dim for dim, _ in axes], tuple(extent for _, extent in axes)))
    sizes = bind_shapes(whole, known)
    exact = Layout.of(layout.contract, sizes, layout.grid)
    for name, block in given.items():
        wanted = exact.shape(parts[name], rank)
        if block.shape != wanted:
            at = ", ".join(f"{dim}={sizes[dim]}" for dim in layout.grid)
            raise ContractError(
                f"{name} has shape {block.shape}, but at {at} the own block of this rank has "
                f"{wanted}"
            )
    return sizes


def fitted(
    reference: Reference,
    signature: inspect.Signature,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> dict[str, Any]:
    """Arguments of a call by name, as programs take them: plain arrays and Python numbers.

    Raises:
        ContractError: They do not bind to the signature.
        Unfit: One is not what the contract says.
    """
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ContractError(f"{reference.name}: {error}") from error
    bound.apply_defaults()
    contract = reference.contract
    given = taken_apart(reference.structures, bound.arguments)
    values = fit_arguments(
        contract, {a.name: adopted(a, given[a.name]) for a in contract.arguments}
    )
    refuse_overlap(contract, values, ())
    return {a.name: value for a, value in zip(contract.arguments, values, strict=True)}


def _check(part: Part, block: Any) -> None:
    if not isinstance(block, np.ndarray):
        raise ContractError(f"{part.name} is a {type(block).__name__}, not a NumPy array")
    if block.dtype != np.dtype(part.dtype):
        raise ContractError(
            f"{part.name} has dtype {block.dtype}, the annotation says {part.dtype}"
        )
    if block.ndim != len(part.dims or ()):
        raise ContractError(
            f"{part.name} has {block.ndim} axes, the annotation says {' '.join(part.dims or ())!r}"
        )


def _is_cut(layout: Layout, part: Part) -> list[bool]:
    """Per axis, whether ranks hold pieces of it."""
    return [
        cut is not None and prod(layout.grid[dim] for dim in cut.over) > 1
        for cut in cuts(layout.contract, part)
    ]
