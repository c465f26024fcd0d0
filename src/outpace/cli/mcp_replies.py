"""What an agent reads: answers to its calls, most with a sentence on what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from outpace.cli.style import plural
from outpace.cli.summary import why_nothing
from outpace.codegen.llm.standing import Standing
from outpace.kernels.promotions import StoredPromotion
from outpace.model import Status
from outpace.tuner.agents.desk import Account, Task
from outpace.tuner.agents.verdicts import Phase, Stage, Verdict


@dataclass(frozen=True)
class Best:
    """The fastest right draft so far, and its speedup over the reference at each workload."""

    idea: str
    language: str
    speedups: dict[str, float]

    @classmethod
    def of(cls, standing: Standing | None) -> Self | None:
        """Of a standing, where there is one."""
        if standing is None:
            return None
        draft = standing.draft
        speedups = {name: round(t.speedup, 3) for name, t in standing.timings.items()}
        return cls(draft.provenance.idea, draft.language, speedups)


# --- Tasks --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TaskEntry:
    """A task in the list."""

    task: str
    function: str
    language: str
    state: str
    best: Best | None
    drafts_waiting: int
    drafts_left: int | None
    doing: str

    @classmethod
    def of(cls, task: Task) -> Self:
        """Of a task."""
        return cls(
            task.name,
            task.reference,
            task.language,
            f"{task.phase.value}: {task.reason}" if task.reason else task.phase.value,
            Best.of(task.best),
            task.waiting,
            task.drafts_left,
            task.doing,
        )


@dataclass(frozen=True)
class TaskList:
    """All tasks."""

    tasks: list[TaskEntry]
    next: str

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> Self:
        """Of all tasks."""
        phases = {task.phase for task in tasks}
        if Phase.OPEN in phases:
            then = "Call get_task with the name of an open task, and read its prompt."
        elif Phase.FINISHING in phases:
            then = "Call report with wait_seconds: what is being finished takes minutes."
        else:
            then = "No task takes drafts any more. Call report, and tell the person what it says."
        return cls([TaskEntry.of(task) for task in tasks], then)


@dataclass(frozen=True)
class TaskText:
    """A task with its prompt."""

    task: str
    state: str
    prompt: str
    next: str

    @classmethod
    def of(cls, task: Task, prompt: str) -> Self:
        """Of a task that was taken."""
        then = "Write one draft as the prompt says, and give its text to submit_draft."
        if task.phase is not Phase.OPEN:
            then = _TAKES_NO_MORE
        return cls(task.name, task.phase.value, prompt, then)


# --- Verdicts -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class VerdictText:
    """What became of a draft."""

    draft: str
    task: str
    state: str
    status: str | None
    confirmed: bool
    reason: str
    speedups: dict[str, float]
    feedback: str
    next: str

    @classmethod
    def of(cls, verdict: Verdict, task: Task) -> Self:
        """Of a verdict on a draft for this task."""
        return cls(
            verdict.draft,
            verdict.task,
            verdict.stage.value,
            None if verdict.status is None else verdict.status.value,
            verdict.is_confirmed,
            verdict.reason,
            {name: round(ratio, 3) for name, ratio in verdict.speedups.items()},
            verdict.feedback,
            _after(verdict, task),
        )


def _after(verdict: Verdict, task: Task) -> str:
    if verdict.stage is not Stage.JUDGED:
        ahead = f" {plural(verdict.ahead, 'draft')} before it." if verdict.ahead else ""
        return f"Not judged yet.{ahead} Call get_verdict with draft {verdict.draft}."
    if task.phase is not Phase.OPEN:
        return _TAKES_NO_MORE
    if task.drafts_left == 0:
        return "No drafts are left. Call finish to have the fastest confirmed and promoted."
    return _AFTER.get(verdict.status, _FAILED)


_TAKES_NO_MORE = "This task takes no more drafts. Call report."
_FAILED = "Read the feedback, correct the draft and give it to submit_draft again."
_RIGHT = (
    "It is right. Give a faster one to submit_draft, by a change of structure; get_task shows what "
    "is to be beaten. When you have no better idea, call finish: nothing is promoted before."
)
_AFTER: dict[Status | None, str] = {
    None: "Call finish to have the fastest right draft confirmed and promoted.",
    Status.INVALID: (
        "It was not built, for the reason given. Give a corrected or a new draft to submit_draft."
    ),
    Status.BLOCKED: (
        "It was not run, for the reason given. If it needs --accept-risk, only the person you work "
        "for can allow that: tell them."
    ),
    Status.FASTER: _RIGHT,
    Status.NOT_FASTER: _RIGHT,
    Status.INCONCLUSIVE: _RIGHT,
}


# --- Report -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gain:
    """A confirmed speedup over the reference with its 95% interval."""

    workload: str
    speedup: float
    low: float
    high: float
    over_plain_numba: float | None


@dataclass(frozen=True)
class PromotionText:
    """A promotion that was written, and its folder."""

    idea: str
    language: str
    gains: list[Gain]
    folder: str

    @classmethod
    def of(cls, stored: StoredPromotion) -> Self:
        """Of a stored promotion."""
        gains = [
            Gain(
                e.workload.name,
                round(e.speedup.median, 3),
                round(e.speedup.low, 3),
                round(e.speedup.high, 3),
                None if e.over_numba is None else round(e.over_numba, 3),
            )
            for e in stored.promotion.evidence
        ]
        variant = stored.promotion.variant
        return cls(variant.label, variant.draft.language, gains, str(stored.path))


@dataclass(frozen=True)
class FunctionReport:
    """How far one function has come."""

    function: str
    state: str
    drafts_judged: int
    best: Best | None
    promotions: list[PromotionText]
    summary: str
    notes: list[str]

    @classmethod
    def of(cls, account: Account) -> Self:
        """Of the account on a function."""
        result = account.result
        stored = [] if result is None else list(result.others)
        if result is not None and result.promotion is not None and result.path is not None:
            stored.append(StoredPromotion(result.path, result.promotion))
        return cls(
            account.reference,
            account.phase.value,
            account.judged,
            Best.of(account.best),
            [PromotionText.of(one) for one in stored],
            _summary(account, promoted=bool(stored)),
            [] if result is None else list(result.notes),
        )


@dataclass(frozen=True)
class Report:
    """How far all functions have come."""

    functions: list[FunctionReport]
    next: str

    @classmethod
    def of(cls, accounts: Sequence[Account]) -> Self:
        """Of the accounts on all functions."""
        drafted = [one.reference for one in accounts if one.phase is Phase.OPEN and one.judged]
        if any(one.phase is Phase.FINISHING for one in accounts):
            then = "Not all is confirmed yet. Call report with wait_seconds 45 until it is."
        elif drafted:
            names = ", ".join(drafted)
            then = f"Nothing is promoted yet for {names}: call finish with a task of each."
        else:
            then = "Tell the person you work for what was promoted, and in which folders to read."
        return cls([FunctionReport.of(one) for one in accounts], then)


def _summary(account: Account, *, promoted: bool) -> str:
    if account.phase is Phase.CLOSED:
        return f"it cannot be judged: {account.reason}"
    if account.result is None:
        return account.doing or "not finished: nothing is promoted before it is"
    if not promoted:
        return why_nothing(account.result)
    return "promoted; review and commit the folder, the function runs it from the next start on"
