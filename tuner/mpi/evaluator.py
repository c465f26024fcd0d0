"""Evaluation of programs for a number of ranks: judged as any draft for MPI, then screened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outpace.model import Status, Trial, Variant
from outpace.tuner.evaluate import Evaluation, trial_of
from outpace.tuner.evaluator import Evaluator
from outpace.tuner.journal import Screened
from outpace.tuner.mpi.judge import MpiJudge
from outpace.tuner.mpi.measured import ranks_text
from outpace.tuner.mpi.timed import RankContender


@dataclass
class RankEvaluation(Evaluation):
    """A program that was right on simulated ranks and under `mpiexec`."""

    ranks: int = 1

    @property
    def contender(self) -> RankContender:
        """As the confirmation takes it."""
        assert self.build is not None
        return RankContender(self.variant, Path(self.build.name), self.seconds, self.ranks)


class RankEvaluator(Evaluator):
    """Evaluates programs on a fixed number of ranks; arguments as of `Evaluator`, and two more.

    Args:
        judge: Decides whether a program is right.
        ranks: On how many ranks it is timed.
    """

    at_a_time = 1  # one program keeps every core busy

    def __init__(self, *given: Any, judge: MpiJudge, ranks: int, **options: Any) -> None:
        super().__init__(*given, **options)
        self._judge = judge
        self._ranks = ranks

    def check_untimed(self, variant: Variant) -> Trial:
        """Judge a program that there are not the cores to time; the trial that ends it."""
        outcome = self._judge.judge(variant, accept_risk=self._accept_risk)
        self.end(variant, outcome)
        return outcome

    def _check(self, variant: Variant) -> Evaluation | Trial:
        outcome = self._judge.built(variant, accept_risk=self._accept_risk)
        if isinstance(outcome, Trial):
            return outcome
        if self._ranks not in outcome.ranks:
            reason = f"its grid is for {ranks_text(outcome.ranks[0])}, not {self._ranks}"
            return trial_of(variant, Status.INVALID, reason)
        grade = outcome.trial.grade
        return RankEvaluation(variant, outcome.build, grade, ranks=self._ranks)

    def _unbuilt(self, variant: Variant, last: Screened) -> Evaluation:
        return RankEvaluation(variant, None, last.grade, dropped=last.dropped, ranks=self._ranks)
