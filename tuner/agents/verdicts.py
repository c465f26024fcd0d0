"""What became of a draft that was handed in from outside, as whoever wrote it may know it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from outpace.codegen.feedback import clean
from outpace.codegen.llm.standing import UNDECIDED, Standing
from outpace.model import Draft, Status, Trial
from outpace.tuner.rule import THRESHOLD

_REASON = 600
"""Characters of a reason."""


class Phase(StrEnum):
    """How far the work on a reference has come."""

    OPEN = "open"
    FINISHING = "finishing"
    FINISHED = "finished"
    CLOSED = "closed"
    """It cannot be judged."""


class Stage(StrEnum):
    """How far a draft has come."""

    WAITING = "waiting"
    JUDGING = "judging"
    JUDGED = "judged"


@dataclass(frozen=True)
class Known:
    """What is known of the drafts of one reference.

    Attributes:
        standings: Of all drafts, whoever wrote them, in the order in which they were made.
        trials: Every trial of this run, in order.
        is_spent: Whether the budget leaves nothing for further drafts.
    """

    standings: tuple[Standing, ...] = ()
    trials: tuple[Trial, ...] = ()
    is_spent: bool = False

    def standing(self, draft: Draft) -> Standing:
        """Of one draft; an empty one where nothing is known."""
        found = (one for one in self.standings if one.draft.hash == draft.hash)
        return next(found, Standing(draft, {}, {}, ()))


@dataclass(frozen=True)
class Verdict:
    """What became of one draft.

    Attributes:
        draft: The name that it got when it was handed in.
        task: Name of its task.
        stage: Whether there is a verdict yet.
        ahead: Drafts that are judged before it.
        status: How it ended; None where it is not judged yet or could not be. `inconclusive` where
            it is right and seems faster, until that is confirmed.
        reason: One sentence.
        speedups: Over the reference by workload name, of its fastest right variant.
        is_confirmed: Whether the status comes from a confirmation, which alone promotes.
        feedback: Compiler's errors, the smallest counterexample, times and what limits them.
    """

    draft: str
    task: str
    stage: Stage
    ahead: int = 0
    status: Status | None = None
    reason: str = ""
    speedups: dict[str, float] = field(default_factory=dict)
    is_confirmed: bool = False
    feedback: str = ""

    @classmethod
    def refused(cls, draft: str, task: str, reason: str) -> Self:
        """Of a text that holds no draft, or none that need be built."""
        return cls(draft, task, Stage.JUDGED, status=Status.INVALID, reason=clean(reason, _REASON))

    @classmethod
    def unjudged(cls, draft: str, task: str, trouble: str) -> Self:
        """Of a draft that could not be judged, through no fault of its own."""
        return cls(draft, task, Stage.JUDGED, reason=f"it could not be judged: {trouble}")

    @classmethod
    def awaited(cls, draft: str, task: str, ahead: int, doing: str) -> Self:
        """Of a draft that is not judged yet."""
        stage = Stage.WAITING if ahead else Stage.JUDGING
        return cls(draft, task, stage, ahead, reason=clean(doing, _REASON))


def outcome(
    name: str, task: str, standing: Standing, trials: Sequence[Trial], told: str
) -> Verdict:
    """The verdict on a judged draft.

    Args:
        name: Of the draft.
        task: Of its task.
        standing: How its variants did.
        trials: Every trial of the run.
        told: Feedback on the standing.
    """
    status, reason, is_confirmed = _decided(standing, trials)
    speedups = {workload: timing.speedup for workload, timing in standing.timings.items()}
    return Verdict(
        name,
        task,
        Stage.JUDGED,
        status=status,
        reason=clean(reason, _REASON),
        speedups=speedups,
        is_confirmed=is_confirmed,
        feedback=told,
    )


def _decided(standing: Standing, trials: Sequence[Trial]) -> tuple[Status | None, str, bool]:
    """Status and reason, and whether they come from a confirmation."""
    if standing.speedup is None:
        failed = sorted(standing.failures, key=lambda trial: trial.status is not Status.WRONG)
        if not failed:
            return None, "it was not judged: the budget is spent", False
        return failed[0].status, failed[0].reason, failed[0].stage == "confirm"
    confirmed = {
        trial.status: trial
        for trial in trials
        if trial.draft == standing.draft.hash
        and trial.stage == "confirm"
        and trial.status in UNDECIDED
    }
    for status in (Status.FASTER, Status.INCONCLUSIVE, Status.NOT_FASTER):
        if status in confirmed:
            return status, confirmed[status].reason, True
    best = max(timing.speedup for timing in standing.timings.values())
    if best > THRESHOLD:
        reason = f"right, and up to {best:.2f}x of the reference when screened; not confirmed yet"
        return Status.INCONCLUSIVE, reason, False
    return Status.NOT_FASTER, f"right, and {best:.2f}x of the reference when screened", False
