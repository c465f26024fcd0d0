"""A campaign: the reference is checked, variants are evaluated, the best are confirmed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, product
from math import log
from os import sched_getaffinity
from pathlib import Path

import msgspec
import numpy as np

from outpace.codegen.domain import evaluate as evaluate_expression
from outpace.codegen.drafters.builtin import PLAIN_IDEA
from outpace.codegen.reference import Reference
from outpace.kernels.promotions import StoredPromotion
from outpace.model import (
    Draft,
    PairSamples,
    Status,
    Target,
    Trial,
    Variant,
    Workload,
)
from outpace.tuner.confirm import Confirmation, confirm, one_process_pair
from outpace.tuner.evaluate import (
    Evaluation,
    build_and_check,
    discard_abandoned_builds,
    trial_of,
)
from outpace.tuner.events import Ended, Message, Moved, Observer, OneAtATime, Planned, Timed
from outpace.tuner.gate import Gate
from outpace.tuner.journal import AlphaLedger, Journal, Promoted, Screened, TrialRecord
from outpace.tuner.plan import Plan, make_plan, reference_worker
from outpace.tuner.process import Worker, capacity_for, end_all
from outpace.tuner.rule import THRESHOLD
from outpace.tuner.screening import screen
from outpace.tuner.selfcheck import CheckedReference, check_reference

SPECIALIST = 1.10
"""A workload gets a finalist of its own only if that is faster there by this factor."""
ATTEMPTS = 3
"""Finalists that are tried at a workload; the k-th may spend 1/2**k of the error budget."""
UNTIMED = (
    Status.INVALID,
    Status.BUILD_FAILED,
    Status.WRONG,
    Status.CRASHED,
    Status.OVER_LIMIT,
    Status.BLOCKED,
)
"""Outcomes that another run of the same campaign need not find again."""


@dataclass(frozen=True)
class Budget:
    """What a campaign may spend.

    Attributes:
        minutes: No new evaluation starts after this; a confirmation that has begun is finished.
        drafts: Variants to evaluate.
        rounds: Times the drafter is asked.
    """

    minutes: float | None = None
    drafts: int | None = None
    rounds: int = 2


def variants_of(draft: Draft, most: int) -> list[Variant]:
    """Bindings of a draft's parameters that satisfy its constraints, the defaults first."""
    names = [p.name for p in draft.parameters]
    bindings = (
        dict(zip(names, values, strict=True))
        for values in product(*(p.values for p in draft.parameters))
    )
    valid = (b for b in bindings if all(evaluate_expression(c, b) for c in draft.constraints))
    return [Variant(draft, binding) for binding in islice(valid, most)]


class Campaign:
    """The work on one reference on one target.

    Attributes:
        trials: Every trial of this run, in order.
        notes: Sentences for a person.
    """

    def __init__(
        self,
        reference: Reference,
        target: Target,
        workloads: Sequence[Workload],
        journal: Journal,
        budget: Budget,
        promoted: Path | None,
        observer: Observer,
    ) -> None:
        """Prepare nothing yet."""
        self.reference = reference
        self.target = target
        self.journal = journal
        self.budget = budget
        self.observer = OneAtATime(observer)
        self.trials: list[Trial] = []
        self.notes: list[str] = []
        self._gate = Gate(reference, target, promoted)
        self._workloads = workloads
        self._begin = time.monotonic()
        self._evaluations: dict[str, Evaluation] = {}
        self._plans: list[Plan] = []
        self._checked: CheckedReference | None = None

    # --- preparation --------------------------------------------------------------------------

    def prepare(self) -> None:
        """Check the reference and run it at every workload.

        Raises:
            ContractError: It cannot be judged; the message says why.
        """
        self.observer.notice(Message(f"checking the reference {self.reference.name}"))
        discard_abandoned_builds()
        self._checked = check_reference(self.reference, secrets.randbits(62))
        for note in self._checked.notes:
            self.observer.notice(Message(note))
        rng = np.random.default_rng()
        for workload in self._workloads:
            self.observer.notice(Message(f"running the reference at workload {workload.name!r}"))
            self._plans.append(make_plan(self.reference, self._checked.oracle, workload, rng))

    @property
    def checked(self) -> CheckedReference:
        """The checked reference, after `prepare`."""
        assert self._checked is not None
        return self._checked

    # --- evaluation ---------------------------------------------------------------------------

    def evaluate(self, variants: Iterable[Variant]) -> None:
        """Build, check and screen variants; failures become trials."""
        wanted = self._new(variants)
        built = self._build_all(wanted)
        capacity = capacity_for(
            self.reference.contract, [(1, plan.workload.sizes) for plan in self._plans]
        )
        with reference_worker(self.reference, capacity) as pacer:
            for evaluation in built:
                if self._out_of_time():
                    self._end(evaluation.variant, _unspent(evaluation.variant))
                else:
                    self._screen(evaluation, pacer)

    def _new(self, variants: Iterable[Variant]) -> list[Variant]:
        """Variants not seen in this run, nor ended for good in an earlier one, within budget."""
        known = {
            r.variant.hash: r.trial for r in self.journal.trials() if r.trial.status in UNTIMED
        }
        screened = {r.variant.hash: r for r in self.journal.unfinished()}
        seen: set[str] = set(self._evaluations)
        chosen: list[Variant] = []
        for variant in variants:
            if variant.hash in seen:
                continue
            if self.budget.drafts is not None and len(chosen) >= self.budget.drafts:
                break
            seen.add(variant.hash)
            self.observer.notice(Planned(variant.label, variant.hash, variant.draft.language))
            if variant.hash in known:
                self.trials.append(known[variant.hash])
                self.observer.notice(Ended(variant.hash, known[variant.hash]))
            elif not self._resume(variant, screened.get(variant.hash)):
                chosen.append(variant)
        return chosen

    def _resume(self, variant: Variant, screened: Screened | None) -> bool:
        """Take over what an interrupted run found at these workloads; False if there is nothing."""
        if screened is None or any(p.workload.name not in screened.ratios for p in self._plans):
            return False
        evaluation = Evaluation(variant, None, screened.grade)
        for plan in self._plans:
            ratio = screened.ratios[plan.workload.name]
            evaluation.seconds[plan.workload.name] = plan.reference_seconds / ratio
        self._accept(evaluation)
        return True

    def _accept(self, evaluation: Evaluation) -> dict[str, float]:
        """Let a screened variant take part in the choice of finalists; its ratios."""
        key = evaluation.variant.hash
        self._evaluations[key] = evaluation
        ratios = {plan.workload.name: _ratio(plan, evaluation) for plan in self._plans}
        for workload, ratio in ratios.items():
            self.observer.notice(Timed(key, workload, ratio))
        return ratios

    def _build_all(self, variants: Sequence[Variant]) -> list[Evaluation]:
        """Build and check on all allowed cores; nothing is timed meanwhile."""
        built = []
        pool = ThreadPoolExecutor(max_workers=max(1, len(sched_getaffinity(0))))
        try:
            for variant, outcome in zip(variants, pool.map(self._build, variants), strict=True):
                if isinstance(outcome, Trial):
                    self._end(variant, outcome)
                else:
                    self.observer.notice(Moved(variant.hash, "waiting"))
                    built.append(outcome)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return built

    def _build(self, variant: Variant) -> Evaluation | Trial:
        if self._out_of_time():
            return _unspent(variant)
        self.observer.notice(Moved(variant.hash, "building"))
        return build_and_check(self.reference, self.checked, variant)

    def _screen(self, evaluation: Evaluation, pacer: Worker) -> None:
        variant = evaluation.variant
        self.observer.notice(Moved(variant.hash, "screening"))
        trial = screen(self.reference, self._plans, evaluation, pacer)
        if trial is not None:
            self._end(variant, trial)
            return
        self.observer.notice(Moved(variant.hash, "waiting"))
        ratios = self._accept(evaluation)
        self.journal.append(Screened(variant=variant, grade=evaluation.grade, ratios=ratios))

    def _end(self, variant: Variant, trial: Trial) -> None:
        self.trials.append(trial)
        self.journal.append(TrialRecord(trial=trial, variant=variant))
        self.observer.notice(Ended(variant.hash, trial))

    def _out_of_time(self) -> bool:
        minutes = self.budget.minutes
        return minutes is not None and time.monotonic() - self._begin > 60 * minutes

    # --- confirmation -------------------------------------------------------------------------

    def confirm_best(
        self, *, dry_run: bool = False, screened: bool = True, attempts: int = ATTEMPTS
    ) -> list[StoredPromotion]:
        """Confirm the best variant of every workload against reference and incumbent; promote.

        Returns:
            The promotions that were written (none in a dry run), the one that covers the last
            workload at the end.
        """
        ledger = AlphaLedger(self.reference.source_hash)
        undecided = list(self._plans)
        tried: set[tuple[str, str]] = set()
        decided: set[str] = set()
        promoted: list[StoredPromotion] = []
        for attempt in range(1, attempts + 1):
            groups = self._finalists(undecided, tried, screened=screened)
            if not groups:
                break
            alpha = ledger.next_alpha() / 2**attempt if attempts > 1 else ledger.next_alpha()
            for key, plans in groups.items():
                share = alpha * len(plans) / len(undecided)
                ledger.spend(share, f"confirming {key} at {len(plans)} workloads")
                results = self._confirm(self._evaluations[key], plans, share)
                tried |= {(key, plan.workload.name) for plan in plans}
                if any(r.status is Status.FASTER for r in results):
                    finalist = self._evaluations[key]
                    promoted = [p for p in promoted if p.promotion.variant != finalist.variant]
                    promoted += self._promote(finalist, results, share, dry_run=dry_run)
                decided |= {r.workload.name for r in results if r.decided}
            undecided = [plan for plan in undecided if plan.workload.name not in decided]
        self._end_losers(tried)
        last = self._plans[-1].workload.name
        return sorted(
            promoted, key=lambda p: any(e.workload.name == last for e in p.promotion.evidence)
        )

    def confirm_against_reference(self, variant: Variant, alpha: float) -> list[Confirmation]:
        """Confirm one evaluated variant at every workload, incumbents left aside."""
        finalist = self._evaluations[variant.hash]
        return confirm(
            self.checked,
            self._plans,
            finalist.contender,
            None,
            alpha,
            self.observer,
        )

    def process_pair(self, variant: Variant) -> list[PairSamples]:
        """Time one fresh process pair of an evaluated variant at every workload, undecided.

        For measuring the error rates of the rule: nothing is promoted.
        """
        finalist = self._evaluations[variant.hash].contender
        return one_process_pair(self.checked, self._plans, finalist)

    def _finalists(
        self, plans: Sequence[Plan], tried: set[tuple[str, str]], *, screened: bool
    ) -> dict[str, list[Plan]]:
        """The variant to confirm at each workload: the best over all, or a clear specialist."""
        groups: dict[str, list[Plan]] = {}
        overall = self._best_overall(plans, tried)
        for plan in plans:
            name = plan.workload.name
            open_ = [e for k, e in self._evaluations.items() if (k, name) not in tried]
            if not open_:
                continue
            best = min(open_, key=lambda e: e.seconds[name])
            if overall in open_ and overall is not None:
                is_clear = overall.seconds[name] > SPECIALIST * best.seconds[name]
                best = best if is_clear else overall
            if screened and _ratio(plan, best) <= THRESHOLD:
                continue
            groups.setdefault(best.variant.hash, []).append(plan)
        return groups

    def _best_overall(
        self, plans: Sequence[Plan], tried: set[tuple[str, str]]
    ) -> Evaluation | None:
        """Smallest geometric mean time over the workloads."""
        open_ = [
            e
            for key, e in self._evaluations.items()
            if all((key, plan.workload.name) not in tried for plan in plans)
        ]
        return min(
            open_,
            key=lambda e: sum(log(e.seconds[plan.workload.name]) for plan in plans),
            default=None,
        )

    def _confirm(
        self, finalist: Evaluation, plans: Sequence[Plan], alpha: float
    ) -> list[Confirmation]:
        variant = finalist.variant
        self.observer.notice(Moved(variant.hash, "confirming"))
        results: list[Confirmation] = []
        failure = self._rebuild(finalist)
        if failure is not None:
            self._end(variant, failure)
            return []
        for incumbent, group in self._by_incumbent(plans, variant):
            if incumbent is not None and incumbent.variant.hash == variant.hash:
                results += [_stands(plan.workload) for plan in group]
                continue
            against = incumbent.contender if incumbent is not None else None
            results += confirm(
                self.checked,
                group,
                finalist.contender,
                against,
                alpha * len(group) / len(plans),
                self.observer,
            )
        for result in results:
            self._end(variant, _trial_of_confirmation(finalist, result))
        return results

    def _rebuild(self, finalist: Evaluation) -> Trial | None:
        """Build a variant that an interrupted run had screened; a Trial if it fails now."""
        if finalist.build is None:
            outcome = build_and_check(self.reference, self.checked, finalist.variant)
            if isinstance(outcome, Trial):
                return outcome
            finalist.build, finalist.grade = outcome.build, outcome.grade
        return None

    def _by_incumbent(
        self, plans: Sequence[Plan], finalist: Variant
    ) -> list[tuple[Evaluation | None, list[Plan]]]:
        """Workloads grouped by the promotion that serves them now."""
        groups: dict[str, tuple[Evaluation | None, list[Plan]]] = {}
        for plan in plans:
            stored = self._gate.incumbent(plan.workload)
            if stored is None:
                groups.setdefault("", (None, []))[1].append(plan)
                continue
            key = stored.variant.hash
            if key not in groups:
                groups[key] = (self._evaluated(stored.variant, finalist), [])
            groups[key][1].append(plan)
        return list(groups.values())

    def _evaluated(self, variant: Variant, finalist: Variant) -> Evaluation | None:
        """An incumbent, built and checked again; None if it no longer passes."""
        if variant.hash == finalist.hash:
            return self._evaluations[variant.hash]
        outcome = build_and_check(self.reference, self.checked, variant)
        if isinstance(outcome, Trial):
            text = f"the promotion {variant.label} no longer passes: {outcome.reason}"
            self.observer.notice(Message(text, "warning"))
            self.notes.append(text)
            return None
        return outcome

    def _promote(
        self, finalist: Evaluation, results: Sequence[Confirmation], alpha: float, *, dry_run: bool
    ) -> list[StoredPromotion]:
        """The promotion that was written, if any."""
        promotion = self._gate.promotion(
            finalist.variant, self.checked, results, alpha, self._over_numba(finalist)
        )
        if dry_run:
            return []
        stored = self._gate.write(promotion)
        self.journal.append(Promoted(path=str(stored.path), key=stored.promotion.key.hash))
        return [stored]

    def _over_numba(self, finalist: Evaluation) -> dict[str, float]:
        """Screened speedup over the plain Numba draft, where it was evaluated."""
        for other in self._evaluations.values():
            if other.variant.draft.provenance.idea == PLAIN_IDEA:
                return {name: other.seconds[name] / s for name, s in finalist.seconds.items()}
        return {}

    # --- the end ------------------------------------------------------------------------------

    def _end_losers(self, tried: set[tuple[str, str]]) -> None:
        """A trial for every workload at which a screened variant was not confirmed."""
        for plan in self._plans:
            name = plan.workload.name
            losers = [e for key, e in self._evaluations.items() if (key, name) not in tried]
            for loser in sorted(losers, key=lambda e: e.seconds[name]):
                ratio = _ratio(plan, loser)
                why = "another variant was faster" if ratio > THRESHOLD else "not worth confirming"
                trial = trial_of(
                    loser.variant,
                    Status.NOT_FASTER,
                    f"{ratio:.2f}x of the reference when screened; {why}",
                    workload=name,
                    stage="screen",
                    grade=loser.grade,
                )
                self._end(loser.variant, trial)

    def verdict(self) -> Status:
        """One status for a judged draft: the worst failure, else the best outcome."""
        statuses = [trial.status for trial in self.trials]
        failures = [
            s for s in statuses if s not in (Status.FASTER, Status.NOT_FASTER, Status.INCONCLUSIVE)
        ]
        confirmed = bool(self._evaluations)
        if failures and (not confirmed or Status.WRONG in failures):
            return Status.WRONG if Status.WRONG in failures else failures[-1]
        for status in (Status.FASTER, Status.INCONCLUSIVE, Status.NOT_FASTER):
            if status in statuses:
                return status
        return failures[-1] if failures else Status.INCONCLUSIVE


def _ratio(plan: Plan, evaluation: Evaluation) -> float:
    """Screened speedup over the reference."""
    return plan.reference_seconds / evaluation.seconds[plan.workload.name]


def _unspent(variant: Variant) -> Trial:
    return trial_of(variant, Status.INCONCLUSIVE, "the budget was spent before it was evaluated")


def _stands(workload: Workload) -> Confirmation:
    return Confirmation(
        workload, Status.NOT_FASTER, "it is the promotion that is served already", stands=True
    )


def _trial_of_confirmation(finalist: Evaluation, result: Confirmation) -> Trial:
    trial = trial_of(
        finalist.variant,
        result.status,
        result.reason,
        workload=result.workload.name,
        stage="confirm",
        grade=result.grade,
        speedup=result.speedup,
        counterexample=result.counterexample,
        details=result.details,
    )
    return msgspec.structs.replace(trial, samples=result.samples)
