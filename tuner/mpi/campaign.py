"""Campaigns for programs on ranks: checked, timed beside their rivals, promoted for their ranks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path

from outpace.model import Grade, Trial, Variant
from outpace.tuner.campaign import Budget, Campaign
from outpace.tuner.confirm import Confirmation
from outpace.tuner.contenders import Against, Contender
from outpace.tuner.evaluate import Evaluation
from outpace.tuner.evaluator import Evaluator
from outpace.tuner.gate import Gate
from outpace.tuner.journal import Journal
from outpace.tuner.mpi.baselines import Baselines, over_all
from outpace.tuner.mpi.evaluator import RankEvaluation, RankEvaluator
from outpace.tuner.mpi.judge import MpiJudge
from outpace.tuner.mpi.measured import RankTimes, ranks_text
from outpace.tuner.mpi.promising import arrangement, one_of_each
from outpace.tuner.numerics.counterexamples import Counterexamples
from outpace.tuner.plan import Plan

_FOR_ARRANGEMENTS = 2 / 3
"""Share of the programs that differ in more than how messages travel."""
REQUEST_SECONDS = 1e-2
"""A timed request should last this long, since it pays for starting and stopping the ranks."""


class RankCampaign(Campaign):
    """The work on programs for one number of ranks.

    Attributes:
        ranks: The number.
        measured: What confirmations have measured.
    """

    def __init__(
        self,
        base: Campaign,
        ranks: int,
        baselines: Baselines,
        judge: MpiJudge,
        journal: Journal,
        budget: Budget,
        promoted: Path | None,
    ) -> None:
        """Take over what a campaign on the same reference has prepared.

        Args:
            base: It has checked the reference and run it at every workload.
            ranks: Number of ranks.
            baselines: What a program must beat besides the reference.
            judge: Decides whether a program is right.
            journal: Of this campaign.
            budget: What it may spend.
            promoted: Folder for promotions instead of the one beside the module.
        """
        workloads = [plan.workload for plan in base.plans]
        super().__init__(
            base.reference,
            base.target,
            workloads,
            journal,
            budget,
            promoted,
            base.observer,
            accept_risk=base.accept_risk,
        )
        self.ranks = ranks
        self.measured: list[RankTimes] = []
        self._judge = judge
        self._baselines = baselines
        self._gate = Gate(base.reference, base.target, promoted, ranks)
        self._checked = base.checked
        self._plans += [replace(plan, request_seconds=REQUEST_SECONDS) for plan in base.plans]
        self._evaluator = self._new_evaluator(self._counterexamples)

    @property
    def is_timed(self) -> bool:
        """Whether each rank can have a core of its own."""
        return self.ranks <= len(os.sched_getaffinity(0))

    def tune(self, variants: Sequence[Variant], most: int) -> None:
        """Evaluate programs, and those that are promoted now.

        First the most promising way to exchange for each of the most promising arrangements, which
        differ more; then other ways for the fastest of these.

        Args:
            variants: The most promising first.
            most: How many to evaluate.
        """
        leaders = one_of_each(variants)[: ceil(_FOR_ARRANGEMENTS * most)]
        self.evaluate(list({v.hash: v for v in (*self.incumbents, *leaders)}.values()))
        found = self.evaluator.evaluations.values()
        fastest = min((e for e in found if e.variant in leaders), key=over_all, default=None)
        kept = fastest and arrangement(fastest.variant)
        rest = [v for v in variants if v not in leaders]
        rest.sort(key=lambda v: arrangement(v) != kept)
        self.evaluate(rest[: most - len(leaders)])
        self.compare_contenders()

    def check_untimed(self, variants: Sequence[Variant]) -> None:
        """Judge programs that there are not the cores to time."""
        evaluator = self.evaluator
        assert isinstance(evaluator, RankEvaluator)
        for variant in variants:
            evaluator.check_untimed(variant)
        cores = len(os.sched_getaffinity(0))
        self.notes.append(
            f"programs for {ranks_text(self.ranks)} are checked and not timed: there are {cores} "
            "cores, and ranks that share one tell nothing"
        )

    def _new_evaluator(self, counterexamples: Counterexamples) -> Evaluator:
        return RankEvaluator(
            self.checked,
            self._plans,
            self.journal,
            counterexamples,
            self.observer,
            self._out_of_time,
            accept_risk=self.accept_risk,
            judge=self._judge,
            ranks=self.ranks,
        )

    def _by_rivals(
        self, plans: Sequence[Plan], finalist: Variant
    ) -> list[tuple[Mapping[Against, Contender], list[Plan]]]:
        """Workloads grouped by the promotion there and by the best variants without ranks."""
        groups: dict[tuple[str, ...], tuple[Mapping[Against, Contender], list[Plan]]] = {}
        for promoted, group in super()._by_rivals(plans, finalist):
            for plan in group:
                rivals = {**promoted, **self._baselines.at[plan.workload.name]}
                key = tuple(f"{who}: {one.variant.hash}" for who, one in rivals.items())
                groups.setdefault(key, (rivals, []))[1].append(plan)
        return list(groups.values())

    def _checked_again(self, variant: Variant) -> Evaluation | Trial:
        """A promotion, which was reviewed, with its build."""
        evaluation = self.evaluator.evaluations.get(variant.hash)
        if evaluation is None:
            evaluation = RankEvaluation(variant, None, Grade.D, ranks=self.ranks)
        return self.evaluator.rebuild(evaluation) or evaluation

    def _rehearsed(
        self,
        plans: Sequence[Plan],  # noqa: ARG002  (there is no rehearsal on ranks)
        finalist: Contender,
        results: Sequence[Confirmation],
    ) -> list[Confirmation]:
        """Keep what was measured; programs for ranks are not rehearsed."""
        for result in results:
            if result.speedup is not None:
                self.measured.append(
                    RankTimes(
                        self.ranks,
                        result.workload.name,
                        finalist.variant.label,
                        result.status,
                        result.speedup,
                        result.over_rivals.get(Against.SERIAL),
                        result.over_rivals.get(Against.THREADED),
                        result.samples,
                    )
                )
        return list(results)
