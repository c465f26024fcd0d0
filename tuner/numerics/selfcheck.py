"""Checks a reference and its contract before any draft is judged by them."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from outpace.codegen.abi import as_results, bind_sizes
from outpace.codegen.inputs import Case, draw_cases, draw_inputs
from outpace.codegen.mpi.layout import cut_dims
from outpace.codegen.reference import Reference
from outpace.errors import ContractError, UntestableError
from outpace.tuner.numerics.acceptance import Expected, expect
from outpace.tuner.numerics.annotation import prove_annotation
from outpace.tuner.numerics.controls import Sample, refuse_passing_controls
from outpace.tuner.numerics.oracle import Mode, Oracle

Array = np.ndarray[Any, Any]

BUDGET_SECONDS = 10.0
"""About how long a check may take; a slow reference is checked on fewer and smaller cases."""
LONGEST_SECONDS = 30.0
"""After this `LEAST_CASES` is waived: a reference that takes seconds at every size is run about 20
times for each case, so that six of them would take minutes."""
LEAST_CASES = 6
LEAST_SIZES = 3
"""Sizes besides the workloads without which a size-specific draft could not be told apart."""
_RUNS_HIGH = 20
"""What a case costs in runs of the reference: 5 promoted ones, each a few times slower, and 4."""
_RUNS_NATIVE = 22


@dataclass(frozen=True)
class CheckedReference:
    """A reference that can be judged by, with drawn cases and what their results must be.

    Attributes:
        reference: The reference.
        oracle: Runs it.
        cases: Those on which earlier drafts were wrong, then drawn ones, smallest first.
        expected: What the results of each case must be.
        refused_sizes: Drawn sizes at which the reference raises; never to be served.
        notes: Sentences for a person.
    """

    reference: Reference
    oracle: Oracle
    cases: tuple[Case, ...]
    expected: tuple[Expected, ...]
    refused_sizes: tuple[dict[str, int], ...]
    notes: tuple[str, ...]

    @property
    def mode(self) -> Mode:
        """What results are compared with."""
        return self.oracle.mode


def check_reference(
    reference: Reference, seed: int, cases: int = 36, replayed: Sequence[Case] = ()
) -> CheckedReference:
    """Run a reference on drawn cases and hold it to its contract.

    Args:
        reference: What to check.
        seed: Draws the cases and their inputs.
        cases: How many to draw; fewer are kept when the domain is small or the reference slow.
        replayed: Cases on which earlier drafts were wrong; they come first.

    Raises:
        ContractError: The reference does not do what the contract says: dims do not bind, a
            returned value has another dtype or shape, an argument is mutated without being declared
            or declared without being mutated, a returned array is memory of an input, the results
            differ from run to run, it may not be cut as it says, or it raises everywhere.
        UntestableError: Too few sizes, or a negative control would be accepted.
    """
    drawn = draw_cases(reference, cases, seed)
    if not drawn:
        raise UntestableError(
            f"{reference.name}: no small size satisfies where={reference.contract.where!r}; "
            "relax it, or write dims so that small sizes exist"
        )
    oracle = Oracle(reference)
    survey = _Survey(oracle)
    drawn.sort(key=lambda case: prod(max(n, 1) for n in case.sizes.values()))
    survey.run([*replayed, *drawn])
    _refuse_failures(oracle, survey)
    _refuse_idle_mutation(oracle, survey)
    _refuse_chance(oracle, survey)
    refuse_passing_controls(oracle, survey.samples)
    notes = (oracle.why, *survey.notes, *_refuse_wrong_annotation(oracle, seed))
    return CheckedReference(
        reference,
        oracle,
        tuple(sample.case for sample in survey.samples),
        tuple(sample.expected for sample in survey.samples),
        tuple(survey.refused),
        notes,
    )


@dataclass
class _Survey:
    """Runs drawn cases within the time budget and collects what happened."""

    oracle: Oracle
    samples: list[Sample] = field(default_factory=list)
    refused: list[dict[str, int]] = field(default_factory=list)
    failure: str = ""
    """What the first of these raised, and where."""
    changed: set[str] = field(default_factory=set)
    """Arguments that were seen to change."""
    notes: list[str] = field(default_factory=list)

    def run(self, cases: Sequence[Case]) -> None:
        """Run each case once and derive its bands.

        Raises:
            ContractError: A case shows that the contract is wrong.
        """
        began = time.monotonic()
        for case in cases:
            begin = time.monotonic()
            left = BUDGET_SECONDS - (begin - began)
            if left < 0 and self.is_enough(begin - began):
                break
            if left < 0 and 0 in case.sizes.values():  # may cost as much and tell nothing
                continue
            inputs = self._try(case)
            runs = _RUNS_HIGH if self.oracle.mode is Mode.HIGH else _RUNS_NATIVE
            is_dear = (time.monotonic() - begin) * runs > left
            if inputs is None or (is_dear and self.is_enough(begin - began)):
                continue
            self.samples.append(self._sample(case, inputs))
        skipped = len(cases) - len(self.samples) - len(self.refused)
        if skipped:
            self.notes.append(
                f"the reference is slow: {skipped} of {len(cases)} cases were left out"
            )

    def is_enough(self, spent: float) -> bool:
        """Whether the least number of cases and sizes is there after so many seconds."""
        cases = LEAST_CASES if spent < LONGEST_SECONDS else LEAST_SIZES
        return len(self.samples) >= cases and len(self.testable_sizes()) >= LEAST_SIZES

    def testable_sizes(self) -> set[tuple[tuple[str, int], ...]]:
        """Sizes with results to compare, besides the workloads."""
        workloads = [workload.sizes for workload in self.oracle.contract.workloads]
        return {
            tuple(sample.case.sizes.items())
            for sample in self.samples
            if sample.case.sizes not in workloads and any(r.size for r in sample.expected.native)
        }

    def _sample(self, case: Case, inputs: dict[str, Any]) -> Sample:
        rng = np.random.default_rng(case.seed)
        try:
            return Sample(case, inputs, expect(self.oracle, inputs, case.sizes, rng))
        except Exception as error:  # the reference has just run on these inputs
            raise _chance(self.oracle, case, f"raises {type(error).__name__}: {error}") from error

    def _try(self, case: Case) -> dict[str, Any] | None:
        """Inputs of a case that the reference accepts."""
        contract = self.oracle.contract
        raising = "inputs(...)"
        try:
            inputs = draw_inputs(self.oracle.reference, case)
            raising = "it"
            bind_sizes(contract, inputs)
            given = {n: v.copy() if isinstance(v, np.ndarray) else v for n, v in inputs.items()}
            returned = self.oracle.call(given)
        except ContractError:
            raise
        except Exception as error:  # noqa: BLE001  (a size outside the domain)
            self.refused.append(dict(case.sizes))
            what = f"{type(error).__name__}: {error}"
            self.failure = self.failure or f"; at {case.sizes} {raising} raises {what}"
            return None
        as_results(contract, returned, case.sizes)
        self._refuse_undeclared_mutation(inputs, given)
        self._refuse_aliases(returned, given)
        return inputs

    def _refuse_undeclared_mutation(
        self, inputs: Mapping[str, Any], given: Mapping[str, Any]
    ) -> None:
        for argument in self.oracle.contract.arguments:
            before, after = inputs[argument.name], given[argument.name]
            if not argument.is_array or before.tobytes() == after.tobytes():
                continue
            self.changed.add(argument.name)
            if not argument.mutated:
                raise ContractError(
                    f"{self.oracle.reference.name} writes into {argument.name!r}; declare "
                    f'mutates=("{argument.name}",), or work on {argument.name}.copy()'
                )

    def _refuse_aliases(self, returned: Any, given: Mapping[str, Any]) -> None:
        parts = returned if isinstance(returned, tuple | list) else (returned,)
        arrays = [part for part in parts if isinstance(part, np.ndarray)]
        name = self.oracle.reference.name
        for position, array in enumerate(arrays):
            for argument, value in given.items():
                if isinstance(value, np.ndarray) and np.may_share_memory(array, value):
                    raise ContractError(
                        f"{name} returns memory of its argument {argument!r}; return a copy, or, "
                        f'if it is meant in place, declare mutates=("{argument}",) and do not '
                        "return it"
                    )
            if any(np.may_share_memory(array, other) for other in arrays[:position]):
                raise ContractError(f"{name} returns the same memory twice; return copies")


def _refuse_failures(oracle: Oracle, survey: _Survey) -> None:
    name, example = oracle.reference.name, survey.failure
    if not survey.samples:
        raise ContractError(
            f"{name} could be run at no drawn size{example}; limit the sizes by where=, or give "
            "inputs= that it accepts"
        )
    sizes = len(survey.testable_sizes())
    if sizes < LEAST_SIZES:
        raise UntestableError(
            f"{name} ran at {sizes} small sizes besides its workloads, needed are "
            f"{LEAST_SIZES}{example}; a draft made for one size could not be told apart"
        )


def _refuse_idle_mutation(oracle: Oracle, survey: _Survey) -> None:
    for argument in oracle.contract.mutated:
        if argument.name not in survey.changed:
            raise ContractError(
                f"{oracle.reference.name} declares mutates={argument.name!r}, but did not change "
                f"it in {len(survey.samples)} drawn cases; leave it out of mutates="
            )


def _refuse_chance(oracle: Oracle, survey: _Survey) -> None:
    """Run every case again, in another order and with other global random states."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        np.random.seed(len(survey.samples))  # noqa: NPY002  (what a reference may use unnoticed)
        random.seed(len(survey.samples))
        for sample in reversed(survey.samples):
            _refuse_difference(oracle, sample)
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def _refuse_difference(oracle: Oracle, sample: Sample) -> None:
    try:
        again = oracle.native(sample.inputs, sample.case.sizes)
    except Exception as error:
        raise _chance(oracle, sample.case, f"raises {type(error).__name__}: {error}") from error
    first = sample.expected.native
    if any(a.tobytes() != b.tobytes() for a, b in zip(again, first, strict=True)):
        raise _chance(oracle, sample.case, "gives other results")


def _chance(oracle: Oracle, case: Case, what: str) -> ContractError:
    return ContractError(
        f"{oracle.reference.name} {what} when it is run again on the same inputs (at "
        f"{case.sizes}); it must not depend on random numbers, clocks, unwritten memory or state "
        "kept between calls; take random numbers as an argument"
    )


def _refuse_wrong_annotation(oracle: Oracle, seed: int) -> tuple[str, ...]:
    """Notes about how the reference may be cut over ranks; an untested split is one of them."""
    if not cut_dims(oracle.contract):
        return ()
    proof = prove_annotation(oracle.reference, seed=seed, oracle=oracle)
    if proof.violation is None:
        return proof.notes
    if not proof.was_tested:
        return (proof.violation,)
    raise ContractError(f"{oracle.reference.name}: {proof.violation}")
