"""Proposes `split`, `steps` and `reduce` for a reference that declares none.

How far reads go is measured on small problems, dim by dim, and what is proposed has been put to the
test as if a person had written it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from outpace.codegen.dims import parse_dim
from outpace.codegen.reference import Reference
from outpace.codegen.splitting import cut_axes
from outpace.errors import ContractError
from outpace.model import Contract
from outpace.split import Block, Boundary, Combination, Reduced, Split
from outpace.tuner.numerics.annotation import Proof, prove_annotation
from outpace.tuner.numerics.oracle import Oracle
from outpace.tuner.numerics.probing import Problem, drawn_problems
from outpace.tuner.numerics.reads import Read, chosen_cells, reads_of
from outpace.tuner.numerics.stepping import SteppingTest

_TRIAL = Block(halo=3)
"""Halo for which the measured problems are long enough; larger ones are found as well."""
_FAR = 3
"""A dim whose cells read farther than its extent divided by this reads all of it."""


@dataclass(frozen=True)
class Proposal:
    """An annotation that was not refuted.

    Attributes:
        split: How dims may be cut; empty where nothing was found.
        steps: The int argument that counts time steps, or None.
        reduce: Outputs that are reductions over the blocks.
        reasons: Why each other dim is not among them, by dim.
        notes: Of its proof.
    """

    split: Mapping[str, Split]
    steps: str | None = None
    reduce: Mapping[str, Reduced] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The options as written in `@outpace.optimize(...)`; empty where there are none."""
        if not self.split:
            return ""
        split = ", ".join(f'"{dim}": {_split_text(one)}' for dim, one in self.split.items())
        lines = [f"split={{{split}}},"]
        if self.steps is not None:
            lines.append(f'steps="{self.steps}",')
        if self.reduce:
            reduced = ", ".join(
                f'"{name}": Reduced(Combination.{one.operation.name})'
                for name, one in self.reduce.items()
            )
            lines.append(f"reduce={{{reduced}}},")
        return "\n".join(lines)


def propose_annotation(reference: Reference, *, seed: int = 0) -> Proposal:
    """Find how a reference may be cut over ranks.

    Dims that every result reads whole are not proposed: nothing can refute `Ring` and `Pencil`, so
    whether they are meant is for a person to say.

    Raises:
        ContractError: The rest of the annotation is missing or wrong.
    """
    plain = _variant(reference)
    steps = next(_counts_of_steps(plain, seed), None)
    measured = {dim: _measured(plain, dim, steps, seed) for dim in _results_first(plain.contract)}
    reasons = {dim: found for dim, found in measured.items() if isinstance(found, str)}
    blocks = {dim: found for dim, found in measured.items() if isinstance(found, Block)}
    at_once = _proof(plain, blocks, steps, {}, seed)
    if at_once.violation is None:
        return _in_order(plain, Proposal(blocks, steps, {}, reasons, at_once.notes))
    split: dict[str, Split] = {}
    reduce: dict[str, Reduced] = {}
    notes: tuple[str, ...] = ()
    for dim, found in blocks.items():
        proof, added = _proved(plain, {**split, dim: found}, steps, reduce, seed)
        if proof.violation is not None:
            reasons[dim] = proof.violation
            continue
        split[dim], notes = found, proof.notes
        reduce |= added
    return _in_order(plain, Proposal(split, steps if split else None, reduce, reasons, notes))


def _in_order(plain: Reference, proposal: Proposal) -> Proposal:
    """The dims in the order of the contract, which is that of the axes."""
    dims = [dim for dim in plain.contract.dims if dim in proposal.split]
    return replace(proposal, split={dim: proposal.split[dim] for dim in dims})


def _results_first(contract: Contract) -> list[str]:
    """The dims, those of results first: these need no reduction."""
    kept = {n for part in contract.results for d in part.dims or () for n in parse_dim(d).names}
    return sorted(contract.dims, key=lambda dim: dim not in kept)


def _variant(reference: Reference, **options: Any) -> Reference:
    """The same function with another annotation."""
    plain: dict[str, Any] = {"split": None, "steps": None, "reduce": None}
    return Reference(reference.written, replace(reference.options, **{**plain, **options}))


def _counts_of_steps(plain: Reference, seed: int) -> Iterator[str]:
    """Int arguments by which calls compose."""
    contract = plain.contract
    used = {n for part in contract.parts for d in part.dims or () for n in parse_dim(d).names}
    for argument in contract.arguments:
        is_count = not argument.is_array and np.dtype(argument.dtype).kind in "iu"
        if not is_count or argument.name in used:
            continue
        counted = _variant(plain, steps=argument.name)
        test, rng = SteppingTest(counted.contract), np.random.default_rng(seed)
        problems = drawn_problems(Oracle(counted), seed)
        if all(test.violation(problem, rng) is None for problem in problems) and test.ran:
            yield argument.name


def _measured(plain: Reference, dim: str, steps: str | None, seed: int) -> Block | str:
    """How a dim may be cut by what is read along it, or why it may not."""
    try:
        trial = _variant(plain, split={dim: _TRIAL}, steps=steps)
        contract = trial.contract
    except ContractError as error:
        return str(error)
    rng = np.random.default_rng(seed)
    low = high = around_low = around_high = 0
    shortest: int | None = None
    for problem in drawn_problems(Oracle(trial), seed):
        if problem.steps > 1 or not problem.is_wide:
            continue
        extent = problem.sizes[dim]
        shortest = extent if shortest is None else min(shortest, extent)
        for way in _distances(_problem_reads(problem, rng)):
            low, high = max(low, -way), max(high, way)
            bent = (way + extent // 2) % extent - extent // 2
            around_low, around_high = max(around_low, -bent), max(around_high, bent)
    if shortest is None:
        return f"the reference runs at no small size that is long in {dim!r}"
    if max(low, high) <= shortest // _FAR:
        return Block(halo=_halo(low, high))
    is_padded = any(a.extra for part in contract.parts for a in cut_axes(contract, part))
    if max(around_low, around_high) <= shortest // _FAR and not is_padded:
        return Block(halo=_halo(around_low, around_high), boundary=Boundary.PERIODIC)
    return (
        f"results read cells up to {max(low, high)} away in {dim!r}; where every cell may read all "
        "of it, write Ring(), or Pencil() for each axis of a transform"
    )


def _problem_reads(problem: Problem, rng: np.random.Generator) -> Iterator[Read]:
    """What changes with single cells of every argument that is cut."""
    for argument in problem.contract.arguments:
        if cut_axes(problem.contract, argument):
            for index in chosen_cells(problem.contract, argument, problem, rng):
                yield from reads_of(problem, argument, index)


def _distances(reads: Iterator[Read]) -> Iterator[int]:
    return (read.straight for read in reads if read.distance is not None)


def _proved(
    plain: Reference,
    split: Mapping[str, Split],
    steps: str | None,
    reduce: Mapping[str, Reduced],
    seed: int,
) -> tuple[Proof, dict[str, Reduced]]:
    """The proof of a split, with outputs declared as reductions where that is what they are."""
    first = _proof(plain, split, steps, reduce, seed)
    if first.violation is None:
        return first, {}
    for output in plain.contract.outputs:
        for operation in Combination:
            added = {output.name: Reduced(operation)}
            proof = _proof(plain, split, steps, {**reduce, **added}, seed)
            if proof.violation is None:
                return proof, added
    return first, {}


def _proof(
    plain: Reference,
    split: Mapping[str, Split],
    steps: str | None,
    reduce: Mapping[str, Reduced],
    seed: int,
) -> Proof:
    try:
        return prove_annotation(_variant(plain, split=split, steps=steps, reduce=reduce), seed=seed)
    except ContractError as error:
        return Proof(str(error))


def _halo(low: int, high: int) -> int | tuple[int, int]:
    return low if low == high else (low, high)


def _split_text(split: Split) -> str:
    if not isinstance(split, Block):
        return f"{type(split).__name__}()"
    default = msgspec.structs.replace(split, halo=0) == Block()
    if default:
        return f"Block(halo={split.halo})"
    return f"Block(halo={split.halo}, boundary=Boundary.{split.boundary.name})"
