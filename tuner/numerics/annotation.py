"""Puts `split`, `steps` and `reduce` of a contract to the test before anything is drafted.

Nothing here looks at the source: the reference is run on small problems, whole, with changed cells,
in blocks and some steps at a time. What no run refutes is not proved in the sense of mathematics,
but whoever drafts from it is judged by the outputs all the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from outpace.codegen.mpi.layout import cut_dims
from outpace.codegen.reference import Reference
from outpace.codegen.splitting import block_dims
from outpace.tuner.numerics.blocks import BlockTest
from outpace.tuner.numerics.oracle import Oracle
from outpace.tuner.numerics.probing import Problem, drawn_problems
from outpace.tuner.numerics.reach import ReachTest
from outpace.tuner.numerics.stepping import SteppingTest

_SECONDS = 10.0
"""Time for reads, and again for the rest, after which the problems so far must do."""


@dataclass(frozen=True)
class Proof:
    """What came out of putting an annotation to the test.

    Attributes:
        violation: One sentence that says what is wrong and what to write, or None. An annotation
            that could not be tested has one too.
        was_tested: Whether enough was run to see a wrong annotation.
        notes: Sentences for a person.
        problems: How many problems were run.
        carries: For each output that carries on from step to step, the argument that it becomes.
    """

    violation: str | None
    was_tested: bool = False
    notes: tuple[str, ...] = ()
    problems: int = 0
    carries: dict[str, str] = field(default_factory=dict)


def prove_annotation(reference: Reference, *, seed: int = 0, oracle: Oracle | None = None) -> Proof:
    """Try to refute how a reference says that it may be cut over ranks.

    Args:
        reference: Its contract names at least one dim that may be cut.
        seed: Draws the problems; the same seed gives the same proof.
        oracle: Of this reference, where there is one already.

    Returns:
        A proof without a violation if nothing that was run contradicts the annotation.

    Raises:
        ContractError: The annotation contradicts itself, or a returned value is not as annotated.
    """
    if not cut_dims(reference.contract):
        return Proof("no dim may be cut over ranks; declare one with split={...}")
    return _Attempt(oracle or Oracle(reference), seed).proof()


class _Attempt:
    """One run of all tests over the same problems."""

    def __init__(self, oracle: Oracle, seed: int) -> None:
        self._oracle = oracle
        self._contract = oracle.contract
        self._seed = seed
        self._rng = np.random.default_rng(seed)
        self._reach = ReachTest(self._contract)
        self._stepping = SteppingTest(self._contract)
        self._blocks = BlockTest(self._contract)
        self._problems = self._wide = 0

    def proof(self) -> Proof:
        refuted = self._violation()
        untested = self._untested()
        violation = refuted or untested
        carries = self._stepping.ways[0] if self._contract.steps and self._stepping.ways else {}
        notes = () if violation else tuple(self._notes())
        was_tested = refuted is not None or untested is None
        return Proof(violation, was_tested, notes, self._problems, carries)

    def _violation(self) -> str | None:
        """Reads first: they name the cells, where the other tests only see that a sum is wrong."""
        problems: list[Problem] = []
        end = time.monotonic() + _SECONDS
        for problem in drawn_problems(self._oracle, self._seed):
            problems.append(problem)
            self._problems += 1
            self._wide += problem.is_wide
            found = self._reach.violation(problem, self._rng)
            if found is not None:
                return found
            if self._wide and time.monotonic() > end:
                break
        found = self._reach.idle_periodic()
        end = time.monotonic() + _SECONDS
        for problem in problems if found is None else ():
            found = self._stepping.violation(problem, self._rng)
            found = found or self._blocks.violation(problem, self._rng)
            if found is not None:
                return found
            if self._blocks.ran and time.monotonic() > end:
                break
        return found

    def _untested(self) -> str | None:
        """What no problem could show, which is never a pass."""
        name = self._oracle.reference.name
        if not self._wide:
            return (
                f"the split could not be tested: {name} runs at no small size that is longer than "
                "its halos; relax where=, or give inputs= that it accepts"
            )
        if (unseen := self._reach.unseen()) is not None:
            return unseen
        if self._contract.steps and not self._stepping.ran:
            return (
                f"steps={self._contract.steps!r} could not be tested: where= allows too few small "
                "numbers of steps"
            )
        if block_dims(self._contract) and not self._blocks.ran:
            return (
                f"the split could not be tested on blocks: {name} accepts none of their sizes; "
                "relax where="
            )
        return None

    def _notes(self) -> list[str]:
        notes = self._reach.spare_halos()
        if self._blocks.refused is not None:
            sizes = ", ".join(f"{dim}={self._blocks.refused[dim]}" for dim in self._contract.split)
            notes.append(
                f"the reference raises on a block of {sizes}; if it needs more cells, say so by "
                "minimum="
            )
        return notes
