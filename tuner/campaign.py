"""A campaign: the reference is checked, variants are evaluated, the best are confirmed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log
from pathlib import Path
from statistics import median

import msgspec
import numpy as np

from outpace.codegen.drafters.builtin import PLAIN_IDEA
from outpace.codegen.reference import Reference
from outpace.errors import DraftError
from outpace.kernels.promotions import StoredPromotion
from outpace.model import Draft, Residence, Status, Target, Trial, Variant, Workload
from outpace.roofline import Roofline
from outpace.tuner.confirm import Confirmation, ProcessPair, confirm, one_process_pair
from outpace.tuner.contenders import Against, Contender
from outpace.tuner.elsewhere import records_elsewhere
from outpace.tuner.evaluate import (
    Evaluation,
    build_and_check,
    discard_abandoned_builds,
    trial_of,
)
from outpace.tuner.evaluator import Evaluator, screened_ratio
from outpace.tuner.events import Message, Moved, Observer, OneAtATime
from outpace.tuner.exploration import UNBUDGETED, Exploration
from outpace.tuner.gate import Gate
from outpace.tuner.gpu.baseline import why_not_cupy
from outpace.tuner.gpu.roof import position
from outpace.tuner.journal import AlphaLedger, Journal, Promoted
from outpace.tuner.numerics.counterexamples import Counterexamples
from outpace.tuner.numerics.selfcheck import CheckedReference, check_reference
from outpace.tuner.plan import Plan, make_plan
from outpace.tuner.rehearsal import rehearsed
from outpace.tuner.rule import THRESHOLD
from outpace.tuner.search import DEFAULT

SPECIALIST = 1.10
"""A workload gets a finalist of its own only if that is faster there by this factor."""
ATTEMPTS = 3
"""Finalists that are tried at a workload; the k-th may spend 1/2**k of the error budget."""


@dataclass(frozen=True)
class Budget:
    """What a campaign may spend.

    Attributes:
        minutes: No new evaluation starts after this; a confirmation that has begun is finished.
        drafts: Variants to evaluate.
        per_draft: Variants of one draft to evaluate at most; None for no limit but the other two,
            and `UNBUDGETED` where there is neither.
    """

    minutes: float | None = None
    drafts: int | None = None
    per_draft: int | None = None


class Campaign:
    """The work on one reference on one target.

    Attributes:
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
        *,
        accept_risk: bool = False,
        strategy: str = DEFAULT,
    ) -> None:
        """Prepare nothing yet.

        `accept_risk` is explained at `build_and_check`, `strategy` at `Exploration`.
        """
        self.reference = reference
        self.target = target
        self.journal = journal
        self.budget = budget
        self.observer = OneAtATime(observer)
        self.notes: list[str] = []
        self._counterexamples = Counterexamples(reference)
        self._gate = Gate(reference, target, promoted)
        self.accept_risk = accept_risk
        self._workloads = workloads
        self._begin = time.monotonic()
        self._plans: list[Plan] = []
        self._again: dict[str, Evaluation] = {}  # promotions, whose builds must not go before
        self._checked: CheckedReference | None = None
        self._evaluator: Evaluator | None = None
        has_budget = budget.minutes is not None or budget.drafts is not None
        self._most = budget.per_draft or (None if has_budget else UNBUDGETED)
        self._strategy = strategy
        self._exploration = Exploration(self._most, strategy)

    # --- preparation --------------------------------------------------------------------------

    def prepare(self) -> None:
        """Check the reference and run it at every workload.

        Raises:
            ContractError: It cannot be judged; the message says why.
        """
        self.observer.notice(Message(f"checking the reference {self.reference.name}"))
        discard_abandoned_builds()
        replayed = self._counterexamples.replayed()
        self._checked = check_reference(self.reference, secrets.randbits(62), replayed=replayed)
        for note in self._checked.notes:
            self.observer.notice(Message(note))
        if self.reference.residence is Residence.DEVICE:
            self._choose_baseline()
        rng = np.random.default_rng()
        for workload in self._workloads:
            self.observer.notice(Message(f"running the reference at workload {workload.name!r}"))
            self._plans.append(make_plan(self.reference, self._checked.oracle, workload, rng))
        self._evaluator = self._new_evaluator(self._counterexamples)

    def _choose_baseline(self) -> None:
        """With arrays on a GPU: the reference under CuPy, or on the host and transfers."""
        why = why_not_cupy(self.checked)
        self.reference.with_cupy = why is None
        text = "the baseline is the reference under CuPy"
        if why is not None:
            text = f"the baseline is the reference on the host and transfers: under CuPy, {why}"
        self.observer.notice(Message(text))
        self.notes.append(text)

    def _new_evaluator(self, counterexamples: Counterexamples) -> Evaluator:
        return Evaluator(
            self.checked,
            self._plans,
            self.journal,
            counterexamples,
            self.observer,
            self._out_of_time,
            accept_risk=self.accept_risk,
        )

    @property
    def checked(self) -> CheckedReference:
        """The checked reference, after `prepare`."""
        assert self._checked is not None
        return self._checked

    @property
    def plans(self) -> Sequence[Plan]:
        """Of every workload, after `prepare`."""
        return self._plans

    @property
    def evaluator(self) -> Evaluator:
        """What builds, checks and times variants, after `prepare`."""
        assert self._evaluator is not None
        return self._evaluator

    @property
    def trials(self) -> Sequence[Trial]:
        """Every trial of this run, in order."""
        return self.evaluator.trials

    @property
    def incumbents(self) -> list[Variant]:
        """The variants that are promoted for the workloads now, each once."""
        found = [self._gate.incumbent(workload) for workload in self._workloads]
        variants = [promotion.variant for promotion in found if promotion is not None]
        return list({variant.hash: variant for variant in variants}.values())

    # --- evaluation ---------------------------------------------------------------------------

    def evaluate(self, variants: Sequence[Variant]) -> None:
        """Build, check and screen these variants; failures become trials."""
        with self.evaluator.pacing() as pacer:
            self.evaluator.evaluate(variants, pacer)

    def explore(self, drafts: Sequence[Draft], share: float = 1.0) -> None:
        """Search the variants of these drafts and of all given before, as the budget allows.

        Args:
            drafts: Join the search.
            share: Part of the budget that may have been spent when this ends.
        """
        for draft in drafts:
            try:
                elsewhere = records_elsewhere(self.journal, self.reference.name, draft)
                self._exploration.add(draft, self.evaluator.known(draft), elsewhere)
            except DraftError as error:
                variant = Variant(draft)
                self.evaluator.end(variant, trial_of(variant, Status.INVALID, str(error)))
        batch = self._next_batch(share)
        if not batch:
            return
        with self.evaluator.pacing() as pacer:
            while batch:
                for variant, outcome in self.evaluator.evaluate(batch, pacer):
                    self._exploration.tell(variant, outcome)
                batch = self._next_batch(share)

    def search_anew(self) -> None:
        """Search among drafts that are given from now on alone; what is known stays known."""
        self._exploration = Exploration(self._most, self._strategy)

    @property
    def is_spent(self) -> bool:
        """Whether the budget leaves nothing for further drafts."""
        drafts = self.budget.drafts
        return self._out_of_time() or (drafts is not None and self.evaluator.spent >= drafts)

    def compare_contenders(self) -> None:
        """Screen again the variants among which the choice of finalists is close."""
        if self.evaluator.contenders() and not self._out_of_time():
            with self.evaluator.pacing() as pacer:
                self.evaluator.screen_contenders(pacer)

    def _next_batch(self, share: float) -> list[Variant]:
        """As many variants as are built at a time; none when the share of the budget is spent."""
        count = self.evaluator.at_a_time
        if self.budget.drafts is not None:
            count = min(count, ceil(share * self.budget.drafts) - self.evaluator.spent)
        return self._exploration.ask(count) if count > 0 and not self._out_of_time(share) else []

    def _out_of_time(self, share: float = 1.0) -> bool:
        minutes = self.budget.minutes
        return minutes is not None and time.monotonic() - self._begin > share * 60 * minutes

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
                results = self._confirm(self.evaluator.evaluations[key], plans, share)
                tried |= {(key, plan.workload.name) for plan in plans}
                if any(r.status is Status.FASTER for r in results):
                    finalist = self.evaluator.evaluations[key]
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
        evaluation = self.evaluator.evaluations[variant.hash]
        finalist = evaluation.contender
        results = confirm(self.checked, self._plans, finalist, {}, alpha, self.observer)
        results = self._rehearsed(self._plans, finalist, results)
        self._end(evaluation, results)
        return results

    def process_pair(self, variant: Variant, incumbent: Variant | None = None) -> list[ProcessPair]:
        """Time one fresh process pair of an evaluated variant at every workload, undecided.

        For measuring the error rates of the rule: nothing is promoted. The incumbent, if given, has
        been evaluated too and takes part as a promotion would.
        """
        against = self._built(incumbent) if incumbent is not None else None
        return one_process_pair(self.checked, self._plans, self._built(variant), against)

    def _built(self, variant: Variant) -> Contender:
        """An evaluated variant that is known to build, with its build."""
        evaluation = self.evaluator.evaluations[variant.hash]
        self.evaluator.rebuild(evaluation)
        return evaluation.contender

    def _finalists(
        self, plans: Sequence[Plan], tried: set[tuple[str, str]], *, screened: bool
    ) -> dict[str, list[Plan]]:
        """The variant to confirm at each workload: the best over all, or a clear specialist."""
        groups: dict[str, list[Plan]] = {}
        overall = self._best_overall(plans, tried)
        for plan in plans:
            name = plan.workload.name
            open_ = [e for k, e in self.evaluator.evaluations.items() if (k, name) not in tried]
            if not open_:
                continue
            best = min(open_, key=lambda e: e.seconds[name])
            if overall in open_ and overall is not None:
                is_clear = overall.seconds[name] > SPECIALIST * best.seconds[name]
                best = best if is_clear else overall
            if screened and screened_ratio(plan, best) <= THRESHOLD:
                continue
            groups.setdefault(best.variant.hash, []).append(plan)
        return groups

    def _best_overall(
        self, plans: Sequence[Plan], tried: set[tuple[str, str]]
    ) -> Evaluation | None:
        """Smallest geometric mean time over the workloads."""
        open_ = [
            e
            for key, e in self.evaluator.evaluations.items()
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
        failure = self.evaluator.rebuild(finalist)
        if failure is not None:
            self.evaluator.end(variant, failure)
            return []
        for rivals, group in self._by_rivals(plans, variant):
            incumbent = rivals.get(Against.INCUMBENT)
            if incumbent is not None and incumbent.variant.hash == variant.hash:
                results += [_stands(plan.workload) for plan in group]
                continue
            results += confirm(
                self.checked,
                group,
                finalist.contender,
                rivals,
                alpha * len(group) / len(plans),
                self.observer,
            )
        results = self._rehearsed(plans, finalist.contender, results)
        self._end(finalist, results)
        return results

    def _rehearsed(
        self, plans: Sequence[Plan], finalist: Contender, results: Sequence[Confirmation]
    ) -> list[Confirmation]:
        """What is left of confirmations once the finalist was called as it will be served."""
        return rehearsed(self.checked, plans, finalist, results)

    def _end(self, finalist: Evaluation, results: Sequence[Confirmation]) -> None:
        """A trial for every confirmation."""
        for result in results:
            result.roofline = self._position(finalist.variant, result)
            self.evaluator.end(finalist.variant, _trial_of_confirmation(finalist, result))

    def _position(self, variant: Variant, result: Confirmation) -> Roofline | None:
        """Where the confirmed time stands under what the card reaches."""
        if self.reference.residence is Residence.HOST or not result.samples:
            return None
        seconds = median(s for samples in result.samples for s in samples.variant)
        return position(self.reference, variant, result.workload, seconds)

    def _by_rivals(
        self, plans: Sequence[Plan], finalist: Variant
    ) -> list[tuple[Mapping[Against, Contender], list[Plan]]]:
        """Workloads grouped by what must be beaten there: the promotion that serves them now."""
        groups: dict[str, tuple[Mapping[Against, Contender], list[Plan]]] = {}
        for plan in plans:
            stored = self._gate.incumbent(plan.workload)
            key = "" if stored is None else stored.variant.hash
            if key not in groups:
                found = None if stored is None else self._evaluated(stored.variant, finalist)
                groups[key] = ({} if found is None else {Against.INCUMBENT: found.contender}, [])
            groups[key][1].append(plan)
        return list(groups.values())

    def _evaluated(self, variant: Variant, finalist: Variant) -> Evaluation | None:
        """An incumbent, built and checked again; None if it no longer passes."""
        if variant.hash == finalist.hash:
            return self.evaluator.evaluations[variant.hash]
        if variant.hash in self._again:
            return self._again[variant.hash]
        outcome = self._checked_again(variant)
        if isinstance(outcome, Trial):
            text = f"the promotion {variant.label} no longer passes: {outcome.reason}"
            self.observer.notice(Message(text, "warning"))
            self.notes.append(text)
            return None
        self._again[variant.hash] = outcome
        return outcome

    def _checked_again(self, variant: Variant) -> Evaluation | Trial:
        # A promotion was reviewed, and runs in the process of whoever calls the reference.
        return build_and_check(self.reference, self.checked, variant, accept_risk=True)

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
        for other in self.evaluator.evaluations.values():
            provenance = other.variant.draft.provenance
            if provenance.drafter == "builtin" and provenance.idea == PLAIN_IDEA:
                return {name: other.seconds[name] / s for name, s in finalist.seconds.items()}
        return {}

    # --- the end ------------------------------------------------------------------------------

    def _end_losers(self, tried: set[tuple[str, str]]) -> None:
        """A trial for every workload at which a screened variant was not confirmed."""
        for plan in self._plans:
            name = plan.workload.name
            losers = [
                e for key, e in self.evaluator.evaluations.items() if (key, name) not in tried
            ]
            for loser in sorted(losers, key=lambda e: e.seconds[name]):
                ratio = screened_ratio(plan, loser)
                why = "another variant was faster" if ratio > THRESHOLD else "not worth confirming"
                if name in loser.dropped:
                    why = f"dropped after {loser.dropped[name]} calls, another was clearly faster"
                trial = trial_of(
                    loser.variant,
                    Status.NOT_FASTER,
                    f"{ratio:.2f}x of the reference when screened; {why}",
                    workload=name,
                    stage="screen",
                    grade=loser.grade,
                )
                self.evaluator.end(loser.variant, trial)

    def verdict(self) -> Status:
        """One status for a judged draft: the worst failure, else the best outcome."""
        statuses = [trial.status for trial in self.trials]
        failures = [
            s for s in statuses if s not in (Status.FASTER, Status.NOT_FASTER, Status.INCONCLUSIVE)
        ]
        confirmed = bool(self.evaluator.evaluations)
        if failures and (not confirmed or Status.WRONG in failures):
            return Status.WRONG if Status.WRONG in failures else failures[-1]
        for status in (Status.FASTER, Status.INCONCLUSIVE, Status.NOT_FASTER):
            if status in statuses:
                return status
        return failures[-1] if failures else Status.INCONCLUSIVE


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
    return msgspec.structs.replace(trial, samples=result.samples, roofline=result.roofline)
