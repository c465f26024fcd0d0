"""A desk at which drafts are handed in from outside: tasks to take, a queue, verdicts.

One thread, that of `Desk.work`, assesses one draft after another. Any other thread may take tasks,
hand in drafts and read verdicts meanwhile: it sees what was known when the last draft was done.
Whoever hands in is told what a drafting model is told, and no more: no seed, and no expected value
but that of the one element on which a draft has failed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Protocol

from outpace.codec import content_hash
from outpace.codegen.feedback import feedback
from outpace.codegen.guard import refusal
from outpace.codegen.llm.languages import directions
from outpace.codegen.llm.normal import normal_hash
from outpace.codegen.llm.standing import Standing, ranked
from outpace.codegen.machine import Machine
from outpace.codegen.parse import LONGEST, Refusal, parse_reply
from outpace.codegen.prompt import PromptRequest, build_prompt
from outpace.codegen.reference import Reference
from outpace.errors import OutpaceError, UsageError
from outpace.model import Draft, Provenance, Target
from outpace.tuner.agents.verdicts import Known, Phase, Verdict, outcome
from outpace.tuner.api import Result
from outpace.tuner.events import Event, Message, Moved, Observer, Planned, Progress

DRAFTER = "mcp"
"""Drafter in the provenance of what is handed in."""
_REFUSED_TOLD = 6
"""Reasons why texts were refused that stay in the prompts."""


class Assessor(Protocol):
    """Judges drafts of one reference; all but the attributes is used by one thread alone."""

    reference: Reference
    languages: tuple[str, ...]
    most_drafts: int | None
    """Drafts that may be handed in; None for no limit."""

    def prepare(self, observer: Observer) -> None:
        """Check the reference, and judge what there is to beat; raises OutpaceError."""
        ...

    def judge(self, draft: Draft) -> None:
        """Judge a draft; raises OutpaceError where that cannot be done."""
        ...

    def refuse(self, draft: Draft, reason: str) -> None:
        """Record a draft that need not be judged."""
        ...

    def known(self) -> Known:
        """What is known now of all drafts."""
        ...

    def conclude(self) -> Result:
        """Confirm the best and promote it; raises OutpaceError where that cannot be done."""
        ...


@dataclass(frozen=True)
class Task:
    """Drafts of one reference wanted in one language.

    Attributes:
        name: Tells it from other tasks.
        reference: Name of the reference.
        language: Language of the drafts.
        phase: Whether drafts are taken.
        reason: Why none are, where that is not plain.
        doing: What goes on now for this reference; empty where nothing does.
        waiting: Drafts of this reference that wait or are being judged.
        drafts_left: Drafts that may still be handed in for the reference; None for no limit.
        best: The fastest right draft in this language, or None.
    """

    name: str
    reference: str
    language: str
    phase: Phase
    reason: str
    doing: str
    waiting: int
    drafts_left: int | None
    best: Standing | None


@dataclass(frozen=True)
class Account:
    """How far the work on one reference has come; attributes as of `Task`, and the result."""

    reference: str
    phase: Phase
    reason: str
    doing: str
    judged: int
    best: Standing | None
    result: Result | None


@dataclass
class _Handed:
    """A text that was handed in, and what it was read as."""

    name: str
    task: str
    work: _Work
    draft: Draft | None
    refused: str = ""
    is_done: bool = False
    trouble: str = ""


@dataclass
class _Work:
    """The work on one reference."""

    assessor: Assessor
    known: Known = field(default_factory=Known)
    phase: Phase = Phase.OPEN
    reason: str = ""
    doing: str = ""
    is_begun: bool = False
    handed: list[_Handed] = field(default_factory=list)
    result: Result | None = None

    @property
    def taken(self) -> list[_Handed]:
        """What was handed in and not refused as it was read."""
        return [handed for handed in self.handed if handed.draft is not None]

    @property
    def drafts_left(self) -> int | None:
        most = self.assessor.most_drafts
        return None if most is None else max(0, most - len(self.taken))


@dataclass
class _Asked:
    """What was last asked in a task."""

    prompt_hash: str | None = None
    parent: str | None = None


class Desk:
    """Tasks of some references, and the drafts that are handed in for them.

    Args:
        assessors: One for each reference.
        target: This machine, as prompts tell of it.
        machine: More about it.
        docstrings: Whether prompts show docstrings and comments of the references.
        observer: Receives the events of all campaigns.
        changed: Called from any thread when something has happened; must be quick.

    Raises:
        UsageError: A reference is there twice.
    """

    def __init__(
        self,
        assessors: Sequence[Assessor],
        target: Target,
        machine: Machine,
        *,
        docstrings: bool,
        observer: Observer,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._target = target
        self._machine = machine
        self._docstrings = docstrings
        self._observer = observer
        self._changed = changed
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[tuple[_Work, Callable[[], None]] | None] = SimpleQueue()
        self._works = [_Work(assessor) for assessor in assessors]
        self._tasks: dict[str, tuple[_Work, str]] = {}
        for work in self._works:
            for language in work.assessor.languages:
                name = f"{work.assessor.reference.name}/{language}"
                if name in self._tasks:
                    raise UsageError(f"{work.assessor.reference.name} is given twice")
                self._tasks[name] = (work, language)
        self._asked = {name: _Asked() for name in self._tasks}
        self._handed: dict[str, _Handed] = {}

    # --- for whoever drafts; from any thread --------------------------------------------------

    def tasks(self) -> list[Task]:
        """Every task as it stands."""
        with self._lock:
            return [self._task(name) for name in self._tasks]

    def task(self, name: str) -> Task:
        """One task as it stands; raises UsageError for an unknown one."""
        with self._lock:
            self._find(name)
            return self._task(name)

    def take(self, name: str) -> str:
        """The whole prompt of a task as things stand; its reference is looked at from now on.

        Raises:
            UsageError: No such task.
        """
        with self._lock:
            work, language = self._find(name)
            self._begin(work)
            parent = self._parent(work, language)
            request = PromptRequest(
                work.assessor.reference,
                self._target,
                self._machine,
                (language,),
                work.known.standings,
                tuple(h.refused for h in work.handed if h.refused)[-_REFUSED_TOLD:],
                parent,
                directions((language,))[0],
                self._docstrings,
            )
            messages = build_prompt(request)
            parent_hash = parent.draft.hash if parent is not None else None
            self._asked[name] = _Asked(content_hash(messages), parent_hash)
        return "\n\n".join(message.content for message in messages)

    def hand_in(self, name: str, text: str) -> str:
        """Take a draft in; the name under which its verdict is found.

        A draft that is the same as an earlier one but for names and layout gets that one's.

        Args:
            name: Of the task.
            text: One line of JSON and after it the source, in one fenced block or without a fence.

        Raises:
            UsageError: No such task, or it takes no more drafts.
        """
        with self._lock:
            work, language = self._find(name)
            self._refuse_closed(work)
            asked = self._asked[name]
            provenance = Provenance(
                DRAFTER, "a draft", prompt_hash=asked.prompt_hash, parent=asked.parent
            )
            parsed = parse_reply(_fenced(text), "stop", (language,), provenance)
            earlier = None if isinstance(parsed, Refusal) else self._same(work, parsed)
            if earlier is not None:
                return earlier.name
            refused = parsed if isinstance(parsed, Refusal) else self._unwanted(work, parsed)
            handed = _Handed(f"d{len(self._handed) + 1}", name, work, None)
            self._handed[handed.name] = handed
            work.handed.append(handed)
            self._begin(work)
            if refused is not None:
                whole = Draft(language, text[:LONGEST], provenance=provenance)
                draft = whole if isinstance(parsed, Refusal) else parsed
                handed.refused, handed.is_done = refused.reason, True
                self._jobs.put((work, lambda: work.assessor.refuse(draft, refused.reason)))
            elif not isinstance(parsed, Refusal):
                handed.draft = parsed
                self._jobs.put((work, lambda: self._judge(handed, parsed)))
        self._changed()
        return handed.name

    def verdict(self, name: str) -> Verdict:
        """How a draft stands that was handed in; raises UsageError for an unknown one."""
        with self._lock:
            handed = self._handed.get(name)
            if handed is None:
                known = f"the last one is d{len(self._handed)}" if self._handed else "there is none"
                raise UsageError(f"there is no draft {name!r}; {known}")
            return self._verdict(handed)

    def finish(self, name: str) -> None:
        """Have the best of a task's reference confirmed and promoted, after what waits is judged.

        Asked again, it does nothing.

        Raises:
            UsageError: No such task, or its reference cannot be judged.
        """
        with self._lock:
            work, _ = self._find(name)
            if work.phase is Phase.CLOSED:
                raise UsageError(f"nothing can be finished here: {work.reason}")
            if work.phase is Phase.OPEN:
                self._begin(work)
                work.phase = Phase.FINISHING
                self._jobs.put((work, lambda: self._conclude(work)))
        self._changed()

    def accounts(self) -> list[Account]:
        """How far the work on each reference has come."""
        with self._lock:
            return [
                Account(
                    work.assessor.reference.name,
                    work.phase,
                    work.reason,
                    work.doing,
                    sum(handed.is_done for handed in work.taken),
                    next(iter(ranked(work.known.standings)), None),
                    work.result,
                )
                for work in self._works
            ]

    # --- for the thread that assesses ---------------------------------------------------------

    def work(self) -> None:
        """Assess what is handed in, one after another, until `stop` is called."""
        while (job := self._jobs.get()) is not None:
            work, do = job
            if work.phase is Phase.CLOSED:
                continue
            try:
                do()
            except OutpaceError as error:
                self._close(work, str(error))
            with self._lock:
                work.doing = ""
            self._changed()

    def stop(self) -> None:
        """Let `work` end when it has done what was asked for before."""
        self._jobs.put(None)

    def _prepare(self, work: _Work) -> None:
        work.assessor.prepare(_Teller(work, self._observer, self._changed))
        self._publish(work)

    def _judge(self, handed: _Handed, draft: Draft) -> None:
        with self._lock:
            handed.work.doing = f"judging {handed.name}"
        handed.work.assessor.judge(draft)
        self._publish(handed.work)
        handed.is_done = True

    def _conclude(self, work: _Work) -> None:
        result = work.assessor.conclude()
        self._publish(work)
        with self._lock:
            work.result, work.phase = result, Phase.FINISHED

    def _publish(self, work: _Work) -> None:
        known = work.assessor.known()
        with self._lock:
            work.known = known

    def _close(self, work: _Work, reason: str) -> None:
        """The reference cannot be judged: whatever waits for it is not judged either."""
        with self._lock:
            work.phase, work.reason = Phase.CLOSED, reason
            for handed in work.taken:
                if not handed.is_done:
                    handed.trouble, handed.is_done = reason, True

    # --- with the lock held -------------------------------------------------------------------

    def _find(self, name: str) -> tuple[_Work, str]:
        if name not in self._tasks:
            raise UsageError(f"there is no task {name!r}; there are {', '.join(self._tasks)}")
        return self._tasks[name]

    def _begin(self, work: _Work) -> None:
        """Let the reference be looked at, once."""
        if not work.is_begun:
            work.is_begun = True
            self._jobs.put((work, lambda: self._prepare(work)))

    def _refuse_closed(self, work: _Work) -> None:
        name = work.assessor.reference.name
        if work.phase is Phase.CLOSED:
            raise UsageError(f"{name} takes no drafts: {work.reason}")
        if work.phase is not Phase.OPEN:
            raise UsageError(f"{name} takes no more drafts: it is {work.phase.value}")
        if work.drafts_left == 0 or work.known.is_spent:
            raise UsageError(f"{name} takes no more drafts: its budget is spent; finish it")

    def _same(self, work: _Work, draft: Draft) -> _Handed | None:
        """What was handed in before and is the same draft."""
        form = normal_hash(draft)
        same = (h for h in work.taken if h.draft is not None and normal_hash(h.draft) == form)
        return next(same, None)

    def _unwanted(self, work: _Work, draft: Draft) -> Refusal | None:
        """Why a draft is not judged: it is the same as one that is known, or no kernel."""
        form = normal_hash(draft)
        for standing in work.known.standings:
            if normal_hash(standing.draft) == form:
                idea = standing.draft.provenance.idea
                return Refusal(f"it is the same as the earlier draft {idea!r}")
        return refusal(draft, work.assessor.reference.contract)

    def _parent(self, work: _Work, language: str) -> Standing | None:
        """The draft to improve: the fastest that was handed in, or the last; None before any."""
        own = [
            standing
            for standing in work.known.standings
            if standing.draft.language == language and standing.draft.provenance.drafter == DRAFTER
        ]
        return next(iter(ranked(own)), own[-1] if own else None)

    def _task(self, name: str) -> Task:
        work, language = self._tasks[name]
        own = [s for s in work.known.standings if s.draft.language == language]
        return Task(
            name,
            work.assessor.reference.name,
            language,
            work.phase,
            work.reason,
            work.doing,
            sum(not handed.is_done for handed in work.handed),
            work.drafts_left,
            next(iter(ranked(own)), None),
        )

    def _verdict(self, handed: _Handed) -> Verdict:
        work = handed.work
        if handed.draft is None:
            return Verdict.refused(handed.name, handed.task, handed.refused)
        if handed.trouble:
            return Verdict.unjudged(handed.name, handed.task, handed.trouble)
        if not handed.is_done:
            ahead = [h for h in self._handed.values() if not h.is_done].index(handed)
            return Verdict.awaited(handed.name, handed.task, ahead, work.doing)
        standing = work.known.standing(handed.draft)
        told = feedback(standing, work.assessor.reference.contract, self._machine)
        return outcome(handed.name, handed.task, standing, work.known.trials, told)


class _Teller:
    """Tells what goes on for a reference, and passes events on."""

    def __init__(self, work: _Work, observer: Observer, changed: Callable[[], None]) -> None:
        self._work = work
        self._observer = observer
        self._changed = changed
        self._labels: dict[str, str] = {}

    def notice(self, event: Event) -> None:
        """See `Observer`."""
        self._observer.notice(event)
        match event:
            case Message(text=text):
                self._work.doing = text
            case Planned(label=label, variant=variant):
                self._labels[variant] = label
                return
            case Moved(variant=variant, stage=stage):
                self._work.doing = f"{stage}: {self._labels.get(variant, 'a draft')}"
            case Progress(done=done, total=total, what=what):
                self._work.doing = f"{what} ({done} of {total})"
            case _:
                return
        self._changed()


def _fenced(text: str) -> str:
    """A reply whose source stands in a fence; source without any gets one."""
    header, _, source = text.strip().partition("\n")
    if not header.startswith("{") or not source.strip() or "```" in source:
        return text
    return f"{header}\n```\n{source}\n```"
