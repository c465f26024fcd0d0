"""Evaluation of variants: built in parallel, then screened one after another, nothing else running.

What ends a variant becomes its trial, in the journal at once. What an earlier run of the same
campaign found is taken from the journal instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import exp, log, sqrt
from os import sched_getaffinity
from statistics import fmean

from msgspec.structs import replace

from outpace.model import Draft, Grade, PairSamples, Status, Trial, Variant
from outpace.tuner.evaluate import Evaluation, build_and_check, trial_of
from outpace.tuner.events import Ended, Moved, Observer, Planned, Timed
from outpace.tuner.gpu.contender import contender_of
from outpace.tuner.journal import Journal, Screened, TrialRecord
from outpace.tuner.numerics.counterexamples import Counterexamples
from outpace.tuner.numerics.selfcheck import CheckedReference
from outpace.tuner.plan import Plan, reference_worker
from outpace.tuner.process import Worker, capacity_for, end_all
from outpace.tuner.screening import screen
from outpace.tuner.search import Failed, Measured

UNTIMED = (
    Status.INVALID,
    Status.BUILD_FAILED,
    Status.WRONG,
    Status.CRASHED,
    Status.OVER_LIMIT,
    Status.BLOCKED,
)
"""Outcomes that another run of the same campaign need not find again."""
CONTENDERS = 3
"""Best variants, over all and at each workload, that are screened again if they are close."""
MOST_AT_A_TIME = 16
"""Variants built at a time; a search that asks for more would know too little."""
CLOSE = 1.1
"""Screened times within this factor may be in the wrong order."""

Outcome = Measured | Failed


class Evaluator:
    """Evaluates variants of one reference on this machine.

    Args:
        checked: The reference.
        plans: The workloads.
        journal: Where trials and times go, and where those of earlier runs are.
        counterexamples: Keeps the inputs on which variants failed.
        observer: Receives events.
        out_of_time: Whether no new evaluation may start.
        accept_risk: Run what a model wrote even where isolation is weak.

    Attributes:
        evaluations: Variants that were right and timed, by hash.
        trials: Every trial of this run, in order.
        spent: Variants that were built in this run.
    """

    def __init__(
        self,
        checked: CheckedReference,
        plans: Sequence[Plan],
        journal: Journal,
        counterexamples: Counterexamples,
        observer: Observer,
        out_of_time: Callable[[], bool],
        *,
        accept_risk: bool = False,
    ) -> None:
        self.evaluations: dict[str, Evaluation] = {}
        self.trials: list[Trial] = []
        self.spent = 0
        self._checked = checked
        self._plans = plans
        self._journal = journal
        self._counterexamples = counterexamples
        self._observer = observer
        self._out_of_time = out_of_time
        self._accept_risk = accept_risk
        self._ended = {r.variant.hash: r for r in journal.trials() if _is_final(r.trial)}
        self._outcomes: dict[str, Outcome] = {}
        self._compared: set[str] = set()
        self._screened: dict[str, list[Screened]] = {}
        for record in journal.unfinished():
            self._screened.setdefault(record.variant.hash, []).append(record)

    @property
    def at_a_time(self) -> int:
        """How many variants are built at a time."""
        return min(MOST_AT_A_TIME, len(sched_getaffinity(0)))

    @contextmanager
    def pacing(self) -> Iterator[Worker]:
        """A process that runs the reference between the calls of variants; see `screen`."""
        contract = self._checked.reference.contract
        capacity = capacity_for(contract, [(1, plan.workload.sizes) for plan in self._plans])
        with reference_worker(self._checked.reference, capacity) as pacer:
            yield pacer

    def known(self, draft: Draft) -> list[tuple[Variant, Outcome]]:
        """What this run and earlier ones found out about variants of a draft."""
        records = (r for r in self._journal.records() if isinstance(r, TrialRecord | Screened))
        bindings = [r.variant.params for r in records if r.variant.draft.hash == draft.hash]
        # Stored parameters come back sorted by name; people are shown those of one draft alike.
        names = [parameter.name for parameter in draft.parameters]
        variants = [
            Variant(draft, {n: b[n] for n in names}) for b in bindings if len(b) == len(names)
        ]
        return self._recalled(variants)[0]

    def evaluate(self, variants: Sequence[Variant], pacer: Worker) -> list[tuple[Variant, Outcome]]:
        """Build, check and screen variants; failures become trials.

        Returns:
            How each did, in seconds relative to the reference (geometric mean over the workloads);
            those for which there was no time are left out.
        """
        found, new = self._recalled(variants)
        for variant in new:
            self._observer.notice(Planned(variant.label, variant.hash, variant.draft.language))
        for variant, outcome in self._build_all(new):
            ended = outcome if isinstance(outcome, Trial) else self._screen(outcome, pacer)
            if ended is not None:
                self.end(variant, ended)
                if ended.status is not Status.INCONCLUSIVE:
                    self._outcomes[variant.hash] = Failed(ended.status)
            if variant.hash in self._outcomes:
                found.append((variant, self._outcomes[variant.hash]))
        return found

    def end(self, variant: Variant, trial: Trial) -> None:
        """Record a trial."""
        self.trials.append(trial)
        self._journal.append(TrialRecord(trial=trial, variant=variant))
        if trial.counterexample is not None:
            self._counterexamples.keep(trial.counterexample)
        self._observer.notice(Ended(variant.hash, trial))

    def refuse(self, draft: Draft, reason: str) -> None:
        """Record that a draft was refused before it was built; once, over all runs."""
        for variant in self._recalled([Variant(draft)])[1]:
            self._observer.notice(Planned(variant.label, variant.hash, draft.language))
            self._outcomes[variant.hash] = Failed(Status.INVALID)
            self.end(variant, trial_of(variant, Status.INVALID, reason, stage="draft"))

    def timed(self) -> list[Trial]:
        """One trial for each right variant at each workload as it was screened, for drafters."""
        found = []
        for evaluation in self.evaluations.values():
            for plan in self._plans:
                name, reference = plan.workload.name, plan.reference_seconds
                seconds = evaluation.seconds[name]
                found.append(
                    screened_trial(evaluation.variant, evaluation.grade, name, reference, seconds)
                )
        return found

    def rebuild(self, evaluation: Evaluation) -> Trial | None:
        """Build a variant again whose build was not kept; the trial if it fails now."""
        if evaluation.build is not None:
            return None
        outcome = self._check(evaluation.variant)
        if isinstance(outcome, Trial):
            return outcome
        evaluation.build, evaluation.grade = outcome.build, outcome.grade
        return None

    def screen_contenders(self, pacer: Worker) -> None:
        """Screen those again among which the choice is close; the mean of both times counts."""
        for evaluation in self.contenders():
            if self._out_of_time():
                return
            variant, before = evaluation.variant, dict(evaluation.seconds)
            self._compared.add(variant.hash)
            self._observer.notice(Moved(variant.hash, "screening"))
            ended = self.rebuild(evaluation) or screen(
                self._checked.reference, self._plans, evaluation, pacer, {}
            )
            if ended is not None:
                del self.evaluations[variant.hash]
                self.end(variant, ended)
                continue
            for workload, seconds in before.items():
                evaluation.seconds[workload] = sqrt(seconds * evaluation.seconds[workload])
            self._accept(evaluation)

    def contenders(self) -> list[Evaluation]:
        """Variants screened once that are close to the best, over all workloads or at one."""
        names = [plan.workload.name for plan in self._plans]
        found: list[Evaluation] = []
        for among in (names, *([name] for name in names)):
            times = {
                key: exp(fmean(log(evaluation.seconds[name]) for name in among))
                for key, evaluation in self.evaluations.items()
            }
            ranked = sorted(times, key=times.__getitem__)[:CONTENDERS]
            near = [key for key in ranked if times[key] < CLOSE * times[ranked[0]]]
            found += [self.evaluations[key] for key in near] if len(near) > 1 else []
        by_hash = {evaluation.variant.hash: evaluation for evaluation in found}
        return [evaluation for key, evaluation in by_hash.items() if key not in self._compared]

    # --- what is known already ----------------------------------------------------------------

    def _recalled(
        self, variants: Sequence[Variant]
    ) -> tuple[list[tuple[Variant, Outcome]], list[Variant]]:
        """Variants with outcomes that are known, and the others; each variant once."""
        known, new = [], []
        for variant in {v.hash: v for v in variants}.values():
            if variant.hash not in self._outcomes:
                self._recall(variant)
            if variant.hash in self._outcomes:
                known.append((variant, self._outcomes[variant.hash]))
            else:
                new.append(variant)
        return known, new

    def _recall(self, variant: Variant) -> None:
        """Take over what an earlier run found, if it did."""
        key = variant.hash
        names = {plan.workload.name for plan in self._plans}
        screened = [r for r in self._screened.get(key, []) if names <= set(r.ratios)]
        if key not in self._ended and not screened:
            return
        self._observer.notice(Planned(variant.label, key, variant.draft.language))
        if key in self._ended:
            trial = self._ended[key].trial
            self.trials.append(trial)
            self._outcomes[key] = Failed(trial.status)
            self._observer.notice(Ended(key, trial))
            return
        # The search was told the first time; what was measured later chooses the finalists.
        self._outcomes[key] = _relative(screened[0].ratios[name] for name in names)
        last = screened[-1]
        if len(screened) > 1:
            self._compared.add(key)
        evaluation = self._unbuilt(variant, last)
        for plan in self._plans:
            ratio = last.ratios[plan.workload.name]
            evaluation.seconds[plan.workload.name] = plan.reference_seconds / ratio
        self._take(evaluation)

    def _unbuilt(self, variant: Variant, last: Screened) -> Evaluation:
        kind = contender_of(self._checked.reference)
        return Evaluation(variant, None, last.grade, dropped=last.dropped, kind=kind)

    # --- new evaluations ----------------------------------------------------------------------

    def _build_all(self, variants: Sequence[Variant]) -> list[tuple[Variant, Evaluation | Trial]]:
        """Build and check on all allowed cores; nothing is timed meanwhile."""
        pool = ThreadPoolExecutor(max_workers=self.at_a_time)
        try:
            outcomes = list(zip(variants, pool.map(self._build, variants), strict=True))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        self.spent += len(variants)
        return outcomes

    def _build(self, variant: Variant) -> Evaluation | Trial:
        if self._out_of_time():
            return _unspent(variant)
        self._observer.notice(Moved(variant.hash, "building"))
        outcome = self._check(variant)
        if isinstance(outcome, Evaluation):
            self._observer.notice(Moved(variant.hash, "waiting"))
        return outcome

    def _check(self, variant: Variant) -> Evaluation | Trial:
        reference = self._checked.reference
        return build_and_check(reference, self._checked, variant, accept_risk=self._accept_risk)

    def _screen(self, evaluation: Evaluation, pacer: Worker) -> Trial | None:
        variant = evaluation.variant
        if self._out_of_time():
            return _unspent(variant)
        self._observer.notice(Moved(variant.hash, "screening"))
        best = {
            name: min(evaluation.seconds[name] for evaluation in self.evaluations.values())
            for name in (plan.workload.name for plan in self._plans)
            if self.evaluations
        }
        trial = screen(self._checked.reference, self._plans, evaluation, pacer, best)
        if trial is not None:
            return trial
        if len(evaluation.dropped) == len(self._plans):
            evaluation.build = None  # hundreds of builds that no one needs would fill the disk
        ratios = self._accept(evaluation)
        self._outcomes[variant.hash] = _relative(ratios.values())
        return None

    def _accept(self, evaluation: Evaluation) -> dict[str, float]:
        """Record what was screened; the ratios by workload."""
        self._observer.notice(Moved(evaluation.variant.hash, "waiting"))
        ratios = self._take(evaluation)
        self._journal.append(
            Screened(
                variant=evaluation.variant,
                grade=evaluation.grade,
                ratios=ratios,
                dropped=dict(evaluation.dropped),
                reference={plan.workload.name: plan.reference_seconds for plan in self._plans},
            )
        )
        return ratios

    def _take(self, evaluation: Evaluation) -> dict[str, float]:
        """Let a screened variant take part in the choice of finalists."""
        key = evaluation.variant.hash
        self.evaluations[key] = evaluation
        ratios = {plan.workload.name: screened_ratio(plan, evaluation) for plan in self._plans}
        for workload, ratio in ratios.items():
            self._observer.notice(Timed(key, workload, ratio))
        return ratios


def screened_trial(
    variant: Variant, grade: Grade, workload: str, reference: float, seconds: float
) -> Trial:
    """What screening found at a workload, as drafters are told; the times are of one call."""
    trial = trial_of(
        variant,
        Status.INCONCLUSIVE,
        f"{reference / seconds:.2f}x of the reference when screened",
        workload=workload,
        stage="screen",
        grade=grade,
    )
    return replace(trial, samples=(PairSamples((reference,), (seconds,)),))


def screened_ratio(plan: Plan, evaluation: Evaluation) -> float:
    """Screened speedup over the reference at a workload."""
    return plan.reference_seconds / evaluation.seconds[plan.workload.name]


def _relative(ratios: Iterable[float]) -> Measured:
    """Time relative to the reference's, as a search is told."""
    return Measured(exp(-fmean(map(log, ratios))))


def _is_final(trial: Trial) -> bool:
    """Whether another run would end the same way; better isolation may unblock a draft."""
    is_isolated = trial.grade in (Grade.A, Grade.B)
    return trial.status in UNTIMED and (is_isolated or trial.status is not Status.BLOCKED)


def _unspent(variant: Variant) -> Trial:
    return trial_of(variant, Status.INCONCLUSIVE, "the budget was spent before it was evaluated")
