"""Making a counterexample small: fewer and simpler inputs on which a draft is still wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from outpace.codegen.inputs import Case, draw_inputs, simpler_cases
from outpace.codegen.reference import Reference
from outpace.model import Counterexample, Mismatch
from outpace.tuner.numerics.acceptance import compare, expect
from outpace.tuner.numerics.oracle import Oracle
from outpace.tuner.process import Call, Failure, bytes_of

SHRINK_SECONDS = 3.0
"""Time for a counterexample to be made smaller; what has been found by then is kept."""


class Runner(Protocol):
    """A process that runs a draft: a `Worker`, or one that simulates the hardware it is for."""

    def prepare(self, calls: Sequence[Call]) -> None:
        """Take the inputs of a call."""

    def run(self, limit: float) -> float:
        """Run it; raises `Failure`."""

    def results(self) -> list[np.ndarray[Any, Any]]:
        """What it left."""


def shrunk(oracle: Oracle, worker: Runner, case: Case, mismatch: Mismatch) -> Counterexample:
    """The simplest case found on which the draft in this process is wrong too.

    Hypothesis has a better shrinker, but none that can be used here: its engine shrinks only what
    it has generated itself (a seed of 62 bits would have to be found again), has no limit in time,
    and reseeds the global random generators of the judge. A case has three parts with a natural
    order, so that a greedy descent is enough: what is simpler and still fails takes the place of
    what was there, until nothing simpler fails.

    Args:
        oracle: The reference.
        worker: Runs the draft; it may have ended when this returns.
        case: On which it was wrong.
        mismatch: In what.
    """
    deadline = time.monotonic() + SHRINK_SECONDS
    tried = {case.text}
    goes_on = True
    while goes_on:
        goes_on = False
        for simpler in simpler_cases(oracle.reference, case):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            if simpler.text in tried or _is_larger(oracle.reference, simpler, case):
                continue
            tried.add(simpler.text)
            try:
                found = _mismatch(oracle, worker, simpler, left)
            except Failure:  # it crashes or hangs there: a finding of its own, and no process
                return case.counterexample(mismatch)
            if found is not None:
                case, mismatch, goes_on = simpler, found, True
                break
    return case.counterexample(mismatch)


def _is_larger(reference: Reference, simpler: Case, case: Case) -> bool:
    """Whether its arrays might not fit where those of the other did."""
    pairs = (bytes_of(reference.contract, one.sizes) for one in (simpler, case))
    return any(new > old for new, old in zip(*pairs, strict=True))


def _mismatch(oracle: Oracle, worker: Runner, case: Case, limit: float) -> Mismatch | None:
    """What is wrong there; None if nothing, or if the reference itself fails.

    Raises:
        Failure: The draft failed otherwise, or took longer.
    """
    try:
        inputs = draw_inputs(oracle.reference, case)
        expected = expect(oracle, inputs, case.sizes, np.random.default_rng(case.seed))
    except Exception:  # noqa: BLE001  (outside the domain)
        return None
    worker.prepare([Call(case.sizes, inputs)])
    worker.run(limit)
    return compare(oracle.contract, expected, worker.results())
