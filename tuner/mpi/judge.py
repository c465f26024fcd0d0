"""Judging of a draft for MPI ranks: simulated ranks first, then real ones.

Expected values come from the acceptance rule, as for serial drafts. A draft that passes is
`checked`: it is right at every number of ranks that it can run on, and was not timed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from outpace.codegen.inputs import draw_inputs
from outpace.codegen.mpi.layout import cut_dims
from outpace.codegen.reference import Reference
from outpace.codegen.visible import hidden_character
from outpace.errors import ContractError, DraftError
from outpace.kernels.languages.mpi import MPI
from outpace.model import Draft, Grade, Status, Trial, Variant
from outpace.tuner.arena import Arena, Mapping
from outpace.tuner.confirm import describe
from outpace.tuner.evaluate import lowest_grade, trial_of, write_source
from outpace.tuner.mpi import launch
from outpace.tuner.mpi.bounds import most_received
from outpace.tuner.mpi.building import build_kernel
from outpace.tuner.mpi.dealing import Deal, room_for
from outpace.tuner.mpi.questions import Question, Questioner
from outpace.tuner.mpi.ranks import Ranks
from outpace.tuner.mpi.simulation import Simulated, Work
from outpace.tuner.numerics.selfcheck import CheckedReference, check_reference
from outpace.tuner.process import Failure

RANKS = (1, 2, 3, 4, 5, 7)
"""Numbers of ranks that a draft is tried on."""
_ORDERS = 3
"""Orders of ranks and messages in which a question may be asked."""
_REORDERED = 36
"""Of so many questions, the first, every third is asked in all those orders."""
_UNEVEN = 2.5
"""How much more than the mean one rank may work."""
_LEAST_SECONDS = 1e-3
"""CPU time of the busiest rank below which work is not weighed."""


class _Wrong(Exception):  # noqa: N818  (becomes a Trial)
    """A call ended, and its results show the draft wrong."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Built:
    """A variant that nothing was found wrong with.

    Attributes:
        trial: It is `checked`.
        ranks: Numbers of ranks that it was tried on.
        build: Holds the bound source and what was compiled of it, and goes with this object.
    """

    trial: Trial
    ranks: tuple[int, ...]
    build: TemporaryDirectory[str]


class MpiJudge:
    """Judges drafts of one reference; what its results must be is derived once for all of them."""

    def __init__(
        self,
        reference: Reference,
        *,
        ranks: Sequence[int] = RANKS,
        checked: CheckedReference | None = None,
    ) -> None:
        """Check the reference.

        Args:
            reference: What is drafted; its contract says how it may be cut.
            ranks: Numbers of ranks to try; where the grid of a draft has a fixed number of places,
                only that is tried.
            checked: The reference, already checked.

        Raises:
            ContractError: The contract is wrong, or names no dim that may be cut.
        """
        if not cut_dims(reference.contract):
            raise ContractError(
                f"{reference.name} names no dim that may be cut over ranks; declare one, as in "
                'split={"y": Block(halo=1)}'
            )
        seed = secrets.randbits(62)
        self.reference = reference
        self.ranks = tuple(ranks)
        self._questioner = Questioner(checked or check_reference(reference, seed), seed)

    def judge(
        self, draft: Draft | Variant, *, accept_risk: bool = False, simulated_only: bool = False
    ) -> Trial:
        """Judge one draft in the language `mpi`.

        Args:
            draft: The draft, with the first value of each parameter, or a variant of one.
            accept_risk: Run what a model wrote even where isolation is weak.
            simulated_only: Leave out the ranks under `mpiexec`; they are left out where there is
                no mpi4py, too, and the trial says so.

        Returns:
            A trial; its status is `checked` if nothing was found wrong.

        Raises:
            EnvironmentError_: The processes could not be set up.
        """
        launched = not simulated_only and launch.unavailable() is None
        outcome = self._outcome(draft, launched=launched, accept_risk=accept_risk)
        return outcome if isinstance(outcome, Trial) else outcome.trial

    def built(self, variant: Variant, *, accept_risk: bool = False) -> Built | Trial:
        """Judge a variant as `judge` does; where nothing was found wrong, with its build.

        Args:
            variant: In the language `mpi`.
            accept_risk: Run what a model wrote even where isolation is weak.

        Raises:
            EnvironmentError_: The processes could not be set up, or there is no mpi4py.
        """
        return self._outcome(variant, launched=True, accept_risk=accept_risk)

    def _outcome(
        self, draft: Draft | Variant, *, launched: bool, accept_risk: bool
    ) -> Built | Trial:
        variant = draft if isinstance(draft, Variant) else _default_variant(draft)
        if (hidden := hidden_character(variant.draft.source)) is not None:
            reason = f"it holds a character that is not shown: {hidden}"
            return trial_of(variant, Status.INVALID, reason)
        try:
            ranks = self._questioner.ranks_of(variant, self.ranks)
        except DraftError as error:
            return trial_of(variant, Status.INVALID, str(error))
        lowest = lowest_grade(variant.draft, accept_risk=accept_risk)
        return _Judging(self._questioner, variant, ranks, lowest).outcome(launched=launched)


def judge_mpi(
    reference: Reference,
    draft: Draft | Variant,
    *,
    ranks: Sequence[int] = RANKS,
    checked: CheckedReference | None = None,
    accept_risk: bool = False,
) -> Trial:
    """Judge one draft; see `MpiJudge` for arguments, result and errors."""
    return MpiJudge(reference, ranks=ranks, checked=checked).judge(draft, accept_risk=accept_risk)


def _default_variant(draft: Draft) -> Variant:
    return Variant(draft, {p.name: p.values[0] for p in draft.parameters})


def _bound(variant: Variant) -> str:
    """The source with its parameters, of which each line has the number that it has in a file.

    There a header comes first where there are flags. The line of each parameter takes its place, so
    that with several parameters lines are further down.
    """
    bound = MPI.bind(variant)
    return f"# its header\n{bound}" if variant.draft.flags and not variant.params else bound


class _Judging:
    """One variant and all that it is asked."""

    def __init__(
        self, questioner: Questioner, variant: Variant, ranks: tuple[int, ...], lowest: Grade
    ) -> None:
        self._questioner = questioner
        self._contract = questioner.contract
        self._variant = variant
        self._ranks = ranks
        self._lowest = lowest
        self._rng = np.random.default_rng()
        self._grade = Grade.D
        self._running: Question | None = None

    def outcome(self, *, launched: bool) -> Built | Trial:
        """Ask everything; a trial where something is wrong.

        Args:
            launched: Whether to ask real ranks, too.
        """
        build = write_source("draft.py", _bound(self._variant))
        folder = Path(build.name).resolve()
        try:
            build_kernel(self._contract, folder, self._variant, self._lowest)
            self._simulate(folder)
            if launched:
                self._launch(folder)
        except (Failure, _Wrong) as failure:
            return self._ended(failure, folder)
        listed = ", ".join(map(str, self._ranks))
        where = "simulated and under mpiexec" if launched else "simulated"
        reason = f"right on {listed} rank{'s' * (self._ranks != (1,))}, {where}; not timed"
        trial = trial_of(self._variant, Status.CHECKED, reason, grade=self._grade)
        return Built(trial, self._ranks, build)

    def _simulate(self, folder: Path) -> None:
        """Ask on simulated ranks.

        Raises:
            Failure: A call did not end as it should.
            _Wrong: Its results are wrong, or a rank receives or works too much.
        """
        asked = [
            *self._questioner.awkward(self._variant, self._ranks),
            *self._questioner.drawn(self._variant, self._ranks),
            *self._questioner.lasting(self._variant, self._ranks),
            *self._questioner.weighed(self._variant, self._ranks),
        ]
        room = max(room_for(question) for question in asked)
        with ExitStack() as stack:
            arenas = [Arena(room, read_only_descriptor=False) for _ in range(max(self._ranks))]
            for arena in arenas:
                stack.callback(arena.close)
            simulated = stack.enter_context(Simulated(self._contract, folder, arenas, self._lowest))
            self._grade = simulated.grade
            memory = [arena.mapping for arena in arenas]
            for place, question in enumerate(asked):
                reordered = question.weighed or (place < _REORDERED and place % 3 == 0)
                orders = range(_ORDERS if reordered else 1)
                ways = [_in_order(simulated, place * _ORDERS + order) for order in orders]
                self._ask(question, memory, ways)

    def _launch(self, folder: Path) -> None:
        """Ask the ranks of one `mpiexec`; raises as `_simulate`."""
        asked = [
            *self._questioner.awkward(self._variant, self._ranks),
            *self._questioner.weighed(self._variant, self._ranks),  # here for its long messages
        ]
        if not asked:  # the domain holds no such sizes
            asked = list(self._questioner.drawn(self._variant, self._ranks))
        room = max(room_for(question) for question in asked)
        with Ranks(self._contract, folder, self._ranks, room, self._lowest) as real:
            self._grade = max(self._grade, real.grade)
            for question in asked:
                self._ask(question, [arena.mapping for arena in real.arenas], [real.ask])

    def _ask(
        self,
        question: Question,
        memory: Sequence[Mapping],
        ways: Sequence[Callable[[Question, Deal], Work | None]],
    ) -> None:
        """Ask one question in one way after another, and hold every answer to the contract."""
        self._running = question
        inputs = draw_inputs(self._questioner.reference, question.case)
        answers, works = set(), []
        for way in ways:
            deal = Deal(question, memory, inputs, self._rng)
            work = way(question, deal)
            _refuse_wrong(deal)
            answers.add(deal.gathered())
            works += [work] if work else []
        if len(answers) > 1 and self._contract.reproducible:
            raise _Wrong(Status.WRONG, "its results depend on the order of messages")
        if question.weighed and works:
            _refuse_received(question, works[0])
            _refuse_uneven(question, works)

    def _ended(self, failure: Failure | _Wrong, folder: Path) -> Trial:
        question = self._running
        at = "" if question is None else f" (at {question.text})"
        found = None if question is None else question.case.counterexample(None)
        details, grade = "", self._grade
        if isinstance(failure, Failure):
            details, grade = failure.details, failure.grade
        return trial_of(
            self._variant,
            failure.status,
            failure.reason.replace(f"{folder}/", "") + at,
            grade=grade,
            counterexample=found,
            details=details.replace(f"{folder}/", ""),
        )


def _in_order(simulated: Simulated, seed: int) -> Callable[[Question, Deal], Work]:
    """Asks on simulated ranks, in one order of ranks and messages."""
    return lambda question, deal: simulated.ask(question, deal, seed)


def _refuse_wrong(deal: Deal) -> None:
    if (problem := deal.problem()) is not None:
        raise _Wrong(Status.WRONG, problem)
    if (mismatch := deal.mismatch()) is not None:
        raise _Wrong(Status.WRONG, f"wrong: {describe(mismatch)}")
    if (problem := deal.out_of_order()) is not None:
        raise _Wrong(Status.WRONG, problem)


def _refuse_received(question: Question, work: Work) -> None:
    for rank, received in enumerate(work.received):
        allowed = most_received(question.layout, rank)
        if received > allowed:
            raise _Wrong(
                Status.OVER_LIMIT,
                f"rank {rank} received {received} bytes; with the declared split it needs "
                f"no more than {allowed}",
            )


def _refuse_uneven(question: Question, works: Sequence[Work]) -> None:
    """Refuse a draft of which one rank does most; of several runs the most even one counts."""

    def unevenness(work: Work) -> float:
        return max(work.seconds) * question.ranks / max(sum(work.seconds), 1e-9)

    best = min(works, key=unevenness)
    if max(best.seconds) >= _LEAST_SECONDS and unevenness(best) > min(
        _UNEVEN, 0.8 * question.ranks
    ):
        rank = best.seconds.index(max(best.seconds))
        raise _Wrong(
            Status.OVER_LIMIT,
            f"rank {rank} works {max(best.seconds):.3g} s of CPU time, {unevenness(best):.1f} "
            f"times the mean of {question.ranks} ranks: the work is not shared",
        )
