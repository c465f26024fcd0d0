"""`ci`: is a change of a repository still right, and no slower, where promotions are concerned?

Numbers come first: every promotion of the head is built, and held to the head's reference by the
full rule. Then every function with a promotion in either tree is timed as its callers call it, base
and head in one job; `outpace.tuner.ci.rule` says when the head is slower.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from outpace.codegen.abi import slots
from outpace.codegen.reference import Reference, load_reference
from outpace.errors import ContractError, UsageError
from outpace.kernels.languages import language_named
from outpace.kernels.promotions import StoredPromotion
from outpace.model import Speedup, Status, Trial, Variant
from outpace.tuner.ci import pairs as ci_pairs
from outpace.tuner.ci.pairs import HeadFailed, Size, Subject, WrongResult
from outpace.tuner.ci.rule import (
    REGRESSION,
    Colour,
    PairRatios,
    Round,
    colour_of,
    ended,
    rule_for,
    shown_slower,
)
from outpace.tuner.ci.trees import Absent, Named, Present, Tree, checked_out, promotions_in
from outpace.tuner.evaluator import Evaluator
from outpace.tuner.events import QUIET, Message, Observer, Progress
from outpace.tuner.journal import Journal
from outpace.tuner.numerics.counterexamples import Counterexamples
from outpace.tuner.numerics.selfcheck import CheckedReference, check_reference
from outpace.tuner.plan import Plan, make_plan
from outpace.tuner.process import Failure
from outpace.tuner.rule import SequentialRule, speedup_of


@dataclass(frozen=True)
class Finding:
    """What was found out about one function, at one workload if it was timed.

    Attributes:
        function: `FILE.py:function`, relative to the repository.
        workload: Name of the workload, or None.
        colour: What it means for the change.
        reason: One sentence for a person.
        ratio: The head's time over the base's: median over process pairs and its interval; None
            where it was not timed.
        trial: What showed a promotion to be wrong, or None.
        rounds: What was measured.
    """

    function: str
    workload: str | None
    colour: Colour
    reason: str
    ratio: Speedup | None = None
    trial: Trial | None = None
    rounds: tuple[Round, ...] = ()


@dataclass(frozen=True)
class Report:
    """What `compare` found.

    Attributes:
        base: Full hash of the commit that was compared with.
        head: Of the commit that was judged.
        findings: Functions in alphabetical order, workloads in their own.
        notes: Sentences for a person.
    """

    base: str
    head: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def colour(self) -> Colour:
        """Red if anything is; what is red was seen by controls that held."""
        colours = {finding.colour for finding in self.findings}
        for worst in (Colour.RED, Colour.INCONCLUSIVE):
            if worst in colours:
                return worst
        return Colour.GREEN


@dataclass(frozen=True)
class Verified:
    """A reference and promotions that were held to it.

    Attributes:
        checked: The reference.
        plans: Its workloads.
        failures: What showed promotions to be wrong.
    """

    checked: CheckedReference
    plans: tuple[Plan, ...]
    failures: tuple[Trial, ...]


def compare(
    repository: Path, base: str, head: str = "HEAD", *, observer: Observer = QUIET
) -> Report:
    """Judge the change from one commit to another.

    Args:
        repository: Any folder of a git repository.
        base: The commit to compare with; a branch or tag will do.
        head: The commit to judge.
        observer: Receives events.

    Raises:
        UsageError: No repository, no such commit, or no promotion in either.
        EnvironmentError_: A tree cannot be looked at, or a process not be started.
    """
    with (
        TemporaryDirectory(prefix="outpace-ci-", ignore_cleanup_errors=True) as folder,
        checked_out(repository, base, head, Path(folder)) as (before, after),
        _importing_from(after.path),
    ):
        return _Comparison(before, after, Path(folder), observer).report()


def verify(reference: Reference, variants: Sequence[Variant], observer: Observer) -> Verified:
    """Hold variants to a reference by the full rule, at drawn sizes and at its workloads.

    The cases follow from the source of the reference: what a change has not touched gets the same
    answer as before.

    Raises:
        ContractError: The reference cannot be judged by.
        UsageError: A workload does not fit into memory.
    """
    observer.notice(Message(f"checking the reference {reference.name}"))
    counterexamples = Counterexamples(reference)
    seed = int(reference.source_hash, 16) % 2**62
    checked = check_reference(reference, seed, replayed=counterexamples.replayed())
    rng = np.random.default_rng(seed)
    plans = [make_plan(reference, checked.oracle, w, rng) for w in reference.contract.workloads]
    if not variants:
        return Verified(checked, tuple(plans), ())
    with (
        TemporaryDirectory(prefix="outpace-ci-") as folder,
        Journal.open("ci", folder=Path(folder)) as journal,
    ):
        evaluator = Evaluator(
            checked, plans, journal, counterexamples, observer, lambda: False, accept_risk=True
        )
        with evaluator.pacing() as pacer:
            evaluator.evaluate(variants, pacer)
        return Verified(checked, tuple(plans), tuple(evaluator.trials))


class _Comparison:
    """The work on two trees."""

    def __init__(self, base: Tree, head: Tree, workplace: Path, observer: Observer) -> None:
        self._base, self._head = base, head
        self._workplace = workplace
        self._observer = observer
        self._notes: list[str] = []
        self._findings: list[Finding] = []

    def report(self) -> Report:
        """Numbers first, then times."""
        promoted_before, damaged_before = promotions_in(self._base.folder)
        promoted, damaged = promotions_in(self._head.folder)
        names = sorted({*promoted_before, *promoted}, key=str)
        if not names and damaged.keys() <= damaged_before.keys():
            raise UsageError(
                "no promotion that can be read in either tree; commit what `outpace tune "
                "FILE.py:fn` writes"
            )
        self._report_damage(damaged_before, damaged)
        self._observer.notice(Message(f"building the promotions of {self._base.commit[:12]}"))
        before = self._base.look_at(names)
        self._observer.notice(Message(f"building the promotions of {self._head.commit[:12]}"))
        now = self._head.look_at(names)
        subjects = {}
        for name in names:
            subject = self._judged(name, before[name], now[name], promoted.get(name, []))
            if subject is not None:
                subjects[name] = subject
        rule = rule_for(max(1, sum(len(s.plans) for s in subjects.values())))
        for name, subject in subjects.items():
            found, lost = before[name], now[name]
            assert isinstance(found, Present)
            assert isinstance(lost, Present)
            self._observer.notice(Message(f"timing {name}"))
            self._findings += _timed(name, subject, rule, _losses(found, lost), self._observer)
        order = {str(name): position for position, name in enumerate(names)}
        findings = sorted(self._findings, key=lambda f: order.get(f.function, -1))
        return Report(self._base.commit, self._head.commit, tuple(findings), tuple(self._notes))

    def _report_damage(self, before: Mapping[str, str], now: Mapping[str, str]) -> None:
        """A promotion that the change has damaged is red; one that was damaged is mentioned."""
        for folder, reason in now.items():
            if folder in before:
                self._notes.append(f"passed over in both trees: {reason}")
            else:
                self._findings.append(Finding(folder, None, Colour.RED, reason))

    def _judged(
        self,
        name: Named,
        before: Present | Absent,
        now: Present | Absent,
        promoted: Sequence[StoredPromotion],
    ) -> Subject | None:
        """What is to be timed of a function, after its promotions were verified."""
        if isinstance(now, Absent):
            self._missing(name, before, now, has_promotions=bool(promoted))
            return None
        verified = self._verified(name, now, promoted)
        if verified is None:
            return None
        if isinstance(before, Absent):
            if before.gone:
                self._find(name, Colour.GREEN, "new and right; there is nothing to compare with")
            else:
                self._find(name, Colour.INCONCLUSIVE, f"the base cannot run it: {before.problem}")
            return None
        if slots(before.contract) != slots(now.contract):
            text = "its arguments or results have changed, so that base and head do not compare"
            self._find(name, Colour.INCONCLUSIVE, text)
            return None
        return Subject(
            verified.checked,
            verified.plans,
            self._base.location(name),
            self._head.location(name),
            self._base.location(name, slowed=True),
            self._base.home,
        )

    def _missing(
        self, name: Named, before: Present | Absent, now: Absent, *, has_promotions: bool
    ) -> None:
        if now.gone and not has_promotions:
            self._find(name, Colour.GREEN, f"removed with its promotions: {now.problem}")
        elif isinstance(before, Present):
            self._find(name, Colour.RED, f"it could be called, and cannot any more: {now.problem}")
        else:
            self._find(name, Colour.INCONCLUSIVE, f"it cannot be called: {now.problem}")

    def _verified(
        self, name: Named, now: Present, promoted: Sequence[StoredPromotion]
    ) -> Verified | None:
        """The promotions of this source held to it; None where that ended the function."""
        current = [p for p in promoted if p.promotion.key.source_hash == now.source_hash]
        for stored in promoted:
            if stored not in current:
                self._notes.append(
                    f"{name}: its source has changed since promotion {stored.path.name} was made, "
                    "which is not served; run `outpace tune` again and commit what it writes"
                )
        variants = list({p.promotion.variant.hash: p.promotion.variant for p in current}.values())
        for variant in variants:
            why = language_named(variant.draft.language).unavailable()
            if why is not None:
                self._find(name, Colour.INCONCLUSIVE, f"{variant.label} cannot be built: {why}")
                return None
        try:
            reference = load_reference(f"{self._head.folder / name.file}:{name.qualname}")
            verified = verify(reference, variants, self._observer)
        except (ContractError, UsageError) as error:
            self._find(name, Colour.INCONCLUSIVE, f"it cannot be judged: {error}")
            return None
        for trial in verified.failures:
            undecided = trial.status is Status.INCONCLUSIVE
            self._findings.append(
                Finding(
                    str(name),
                    trial.workload or None,
                    Colour.INCONCLUSIVE if undecided else Colour.RED,
                    f"promotion {trial.label} is {trial.status.value}: {trial.reason}",
                    trial=trial,
                )
            )
        return None if verified.failures else verified

    def _find(self, name: Named, colour: Colour, reason: str) -> None:
        self._findings.append(Finding(str(name), None, colour, reason))


@contextmanager
def _importing_from(path: Sequence[str]) -> Iterator[None]:
    kept = sys.path[:]
    sys.path[:] = path
    try:
        yield
    finally:
        sys.path[:] = kept


def _losses(before: Present, now: Present) -> dict[str, str]:
    """By workload, why the head runs the reference where the base ran a promotion."""
    found = {}
    for served in now.serves:
        was = before.at(served.workload)
        if was is not None and was.promoted and not served.promoted:
            found[served.workload] = served.reason
    return found


# --- Timing -------------------------------------------------------------------------------------


@dataclass
class _Course:
    """What has been measured at one workload."""

    plan: Plan
    rounds: list[Round] = field(default_factory=list)
    pairs: list[PairRatios] = field(default_factory=list)
    """Of the round that has not ended."""

    @property
    def colour(self) -> Colour | None:
        """What the rounds say; None to go on."""
        return colour_of(self.rounds)

    def add(self, ratios: PairRatios, rule: SequentialRule) -> None:
        """Take what a process pair measured."""
        self.pairs.append(ratios)
        done = ended(rule, self.pairs)
        if done is not None:
            self.rounds.append(done)
            self.pairs = []


def _timed(
    name: Named,
    subject: Subject,
    rule: SequentialRule,
    losses: Mapping[str, str],
    observer: Observer,
) -> list[Finding]:
    """Fresh process pairs until every workload is decided."""
    courses = [_Course(plan) for plan in subject.plans]
    try:
        sizes: dict[str, Size] = ci_pairs.sizes_for(subject)
        measured = 0
        while open_ := [c for c in courses if c.colour is None]:
            observer.notice(Progress(measured, measured + rule.pairs[0], "process pairs"))
            ratios = ci_pairs.process_pair(subject, [c.plan for c in open_], sizes)
            for course in open_:
                course.add(ratios[course.plan.workload.name], rule)
            measured += 1
        observer.notice(Progress(measured, measured, "process pairs"))
    except WrongResult as wrong:
        reason = f"its result in the head is wrong: {wrong}"
        return [Finding(str(name), wrong.workload, Colour.RED, reason)]
    except HeadFailed as failure:
        return [Finding(str(name), None, Colour.RED, f"it fails in the head: {failure.reason}")]
    except Failure as failure:
        reason = f"it could not be timed: {failure.reason}"
        return [Finding(str(name), None, Colour.INCONCLUSIVE, reason)]
    return [_concluded(name, c, losses.get(c.plan.workload.name)) for c in courses]


def _concluded(name: Named, course: _Course, loss: str | None) -> Finding:
    colour = course.colour
    assert colour is not None
    ratio = speedup_of([pair.head for done in course.rounds for pair in done.pairs])
    reason = f"{ratio.median:.3g}x of the base's time"
    if colour is Colour.RED:
        valid = [done for done in course.rounds if done.void is None]
        seen = " and ".join(f"{shown_slower(done)} of {len(done.pairs)}" for done in valid)
        reason += f", above {REGRESSION} in {seen} process pairs"
    elif colour is Colour.INCONCLUSIVE:
        void = [done.void for done in course.rounds if done.void is not None]
        reason += (
            f", but a control failed in {len(void)} of {len(course.rounds)} rounds: {void[-1]}"
        )
    if loss is not None:
        reason += f"; the base runs a promotion, the head its reference: {loss}"
    workload = course.plan.workload.name
    return Finding(str(name), workload, colour, reason, ratio, rounds=tuple(course.rounds))
