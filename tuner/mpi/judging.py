"""Judging a draft for MPI ranks from a file: its variants, untimed, as one result."""

from __future__ import annotations

import secrets

from outpace.codegen.reference import Reference
from outpace.errors import ContractError
from outpace.kernels.target import current_target
from outpace.model import Draft, Status
from outpace.tuner.api import Result
from outpace.tuner.events import QUIET, Ended, Message, Observer, Planned
from outpace.tuner.mpi import launch
from outpace.tuner.mpi.judge import MpiJudge
from outpace.tuner.numerics.annotation import prove_annotation
from outpace.tuner.numerics.selfcheck import check_reference
from outpace.tuner.untimed import few_variants, verdict_of

ONLY_CHECKED = "checked on ranks and not timed; --ranks 2 times and promotes it on so many"


def judge_on_ranks(
    reference: Reference, draft: Draft, *, observer: Observer = QUIET, accept_risk: bool = False
) -> Result:
    """Try to refute the annotation, then judge a few variants of a draft for MPI.

    Args:
        reference: What it is a draft of.
        draft: In the language `mpi`.
        observer: Receives events.
        accept_risk: Run the draft of a model even below isolation grade B.

    Returns:
        A trial for each variant until one fails, and the verdict: `checked` if none did.

    Raises:
        ContractError: The reference cannot be judged, or the annotation does not hold.
        UsageError: No combination of the draft's parameters satisfies its constraints.
    """
    observer.notice(Message(f"checking the reference {reference.name}"))
    seed = secrets.randbits(62)
    checked = check_reference(reference, seed)
    judge = MpiJudge(reference, checked=checked)
    proof = prove_annotation(reference, seed=seed, oracle=checked.oracle)
    if proof.violation is not None:
        raise ContractError(
            f"nothing is judged from an annotation that does not hold: {proof.violation}; "
            "`outpace check-annotation` says more"
        )
    notes = [*checked.notes]
    if (missing := launch.unavailable()) is not None:
        notes.append(f"simulated ranks alone: {missing}")
    trials = []
    for variant in few_variants(draft):
        observer.notice(Planned(variant.label, variant.hash, variant.draft.language))
        trial = judge.judge(variant, accept_risk=accept_risk)
        observer.notice(Ended(variant.hash, trial))
        trials.append(trial)
        if trial.status is not Status.CHECKED:
            break
    verdict = verdict_of(trials)
    if verdict is Status.CHECKED:
        notes.append(ONLY_CHECKED)
    unique = tuple(dict.fromkeys(notes))
    return Result(
        reference.name, current_target(), tuple(trials), verdict, None, None, notes=unique
    )
