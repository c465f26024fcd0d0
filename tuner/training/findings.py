"""What the judge found out about a draft, over all its variants and all campaigns on a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, log
from statistics import fmean

from outpace.model import Grade, Speedup, Status
from outpace.tuner.journal import Screened, TrialRecord
from outpace.tuner.rule import THRESHOLD

_OPEN = (Status.INCONCLUSIVE, Status.BLOCKED)
"""Statuses that tell nothing about the draft."""
_RIGHT = (Status.FASTER, Status.NOT_FASTER)


class Verdict(StrEnum):
    """What is known of a draft.

    FASTER: a variant was confirmed faster than the reference, and none failed. RIGHT: none failed,
    and nothing was confirmed. SLOW: the same, and none was faster than the reference by more than
    what a promotion needs, at any workload. FAILED: no variant was right. UNDECIDED: it was not
    judged to the end, or some variants were right and others failed.
    """

    FASTER = "faster"
    RIGHT = "right"
    SLOW = "slow"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Finding:
    """What the trials of a draft add up to.

    Attributes:
        verdict: In one word.
        status: Of the trial that decided it.
        grade: Isolation under which that ran.
        time: When that was, UTC, ISO 8601.
        confirmed: Speedup over the reference by workload, of variants that were confirmed faster.
        measured: Highest speedup that was seen by workload: the upper end of an interval where
            there is one, else the screened ratio.
        screened: Highest screened speedup, geometric mean over the workloads; None if not timed.
    """

    verdict: Verdict
    status: Status
    grade: Grade
    time: str
    confirmed: dict[str, Speedup]
    measured: dict[str, float]
    screened: float | None

    @property
    def headline(self) -> tuple[str, Speedup] | None:
        """The workload that was confirmed last, and its speedup."""
        return list(self.confirmed.items())[-1] if self.confirmed else None

    def beats(self, other: Finding) -> bool:
        """Whether it is faster than the other by more than its interval wherever both were timed.

        It must have been confirmed there; the other need only have been screened.
        """
        shared = self.confirmed.keys() & other.measured.keys()
        return bool(shared) and all(self.confirmed[w].low > other.measured[w] for w in shared)


def finding_of(trials: Sequence[TrialRecord], screened: Sequence[Screened]) -> Finding:
    """What the records of one draft add up to; there must be at least one trial.

    A draft that was refused as the same as another one is judged by that other one's trials, which
    are expected among these.
    """
    judged = [r for r in trials if r.trial.stage != "draft"] or list(trials)
    verdict, deciding = _verdict(judged, screened)
    confirmed: dict[str, Speedup] = {}
    measured: dict[str, float] = {}
    for timed in screened:
        for workload, ratio in timed.ratios.items():
            measured[workload] = max(ratio, measured.get(workload, 0.0))
    for record in judged:
        trial = record.trial
        if trial.speedup is not None:
            measured[trial.workload] = max(trial.speedup.high, measured.get(trial.workload, 0.0))
            if trial.status is Status.FASTER:
                confirmed[trial.workload] = trial.speedup
    ratios = [exp(fmean(map(log, r.ratios.values()))) for r in screened if r.ratios]
    return Finding(
        verdict,
        deciding.trial.status,
        deciding.trial.grade,
        deciding.time,
        confirmed,
        measured,
        max(ratios, default=None),
    )


def _verdict(
    judged: Sequence[TrialRecord], screened: Sequence[Screened]
) -> tuple[Verdict, TrialRecord]:
    """The verdict and the trial that decided it."""
    failures = [r for r in judged if r.trial.status not in (*_OPEN, *_RIGHT)]
    rights = [r for r in judged if r.trial.status in _RIGHT]
    if failures:
        failed = {r.variant.hash for r in failures}
        right = {r.variant.hash for r in rights} | {r.variant.hash for r in screened}
        return (Verdict.UNDECIDED if right - failed else Verdict.FAILED), failures[-1]
    faster = [r for r in rights if r.trial.status is Status.FASTER]
    if faster:
        return Verdict.FASTER, faster[-1]
    if rights:
        ratios = [ratio for record in screened for ratio in record.ratios.values()]
        ratios += [r.trial.speedup.median for r in judged if r.trial.speedup is not None]
        is_slow = bool(ratios) and max(ratios) <= THRESHOLD
        return (Verdict.SLOW if is_slow else Verdict.RIGHT), rights[-1]
    return Verdict.UNDECIDED, judged[-1]
