"""`tune` and `judge`: what the command line, notebooks and CI call; `check` is re-exported."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from outpace.codegen.llm.budget import Spent
from outpace.codegen.llm.options import ModelOptions
from outpace.codegen.reference import Reference
from outpace.errors import ContractError, UsageError
from outpace.kernels import promotions as store
from outpace.kernels.languages import (
    LANGUAGES,
    ON_A_GPU,
    OPTIONAL,
    language_named,
    languages_here,
)
from outpace.kernels.languages.mpi import MPI
from outpace.kernels.promotions import StoredPromotion
from outpace.kernels.target import current_target
from outpace.model import Draft, Promotion, Residence, Speedup, Status, Target, Trial, Workload
from outpace.tuner.campaign import Budget, Campaign
from outpace.tuner.check import CheckResult, check
from outpace.tuner.drafting import choose, draft_rounds, open_drafter
from outpace.tuner.events import QUIET, Message, Observer
from outpace.tuner.journal import CampaignEnded, CampaignStarted, Journal, campaign_id
from outpace.tuner.mpi.measured import RankTimes
from outpace.tuner.search import DEFAULT, refuse_unknown
from outpace.tuner.worth import Worth, worth_of

__all__ = [
    "Budget",
    "CheckResult",
    "Result",
    "check",
    "conclude",
    "judge",
    "open_campaign",
    "tune",
]


@dataclass(frozen=True, repr=False)
class Result:
    """What `tune` or `judge` did.

    Attributes:
        reference: `module:qualname`.
        target: Where it was measured.
        trials: Every trial of this run.
        verdict: For `judge`: the status of the draft; None for `tune`.
        promotion: The promotion that was written for the most demanding workload, or None.
        path: Its folder.
        notes: Sentences for a person.
    """

    reference: str
    target: Target
    trials: tuple[Trial, ...]
    verdict: Status | None
    promotion: Promotion | None
    path: Path | None
    notes: tuple[str, ...] = ()
    others: tuple[StoredPromotion, ...] = ()
    """Promotions that were written for the other workloads, where another variant was best."""
    spent: Spent | None = None
    """What drafting by a model cost, earlier runs of the campaign included; None without one."""
    worth: Worth | None = None
    """What several rounds with a model have brought against a single one; None without one."""
    measured: tuple[RankTimes, ...] = ()
    """For programs on ranks: what their confirmations have measured, promoted or not."""

    @property
    def cost_per_promotion(self) -> float | None:
        """US dollars of drafting for each promoted kernel; None where there is none of either."""
        promoted = len(self.others) + (self.promotion is not None)
        return self.spent.cost / promoted if self.spent is not None and promoted else None

    @property
    def speedup(self) -> Speedup | None:
        """Of the promotion over the reference, at its last confirmed workload."""
        return self.promotion.evidence[-1].speedup if self.promotion is not None else None

    def __repr__(self) -> str:
        """One line for a notebook, where the samples of every trial would fill pages."""
        if self.promotion is None or self.speedup is None:
            outcome = "nothing promoted" if self.verdict is None else self.verdict.value
            return f"<{self.reference}: {outcome}, {len(self.trials)} trials>"
        gain = self.speedup
        return (
            f"<{self.reference}: promoted {self.promotion.variant.label}, {gain.median:.3g}x "
            f"[{gain.low:.3g}, {gain.high:.3g}], in {self.path}>"
        )


def tune(
    reference: Any,
    *,
    drafter: str = "builtin",
    languages: Sequence[str] = (),
    workloads: Sequence[str] = (),
    budget: Budget | None = None,
    fresh: bool = False,
    promoted: Path | None = None,
    observer: Observer = QUIET,
    accept_risk: bool = False,
    model: ModelOptions | None = None,
    strategy: str = DEFAULT,
    on_gpu: bool = False,
    ranks: Sequence[int] = (),
) -> Result:
    """Draft, check and time variants of a reference, and promote what is confirmed faster.

    Args:
        reference: A function decorated with `outpace.optimize`, or a `Reference`.
        drafter: Name of the drafter, or several with commas between: `builtin`, `openai`,
            `vllm`, `replay:FILE`.
        languages: Languages to draft in; empty for all that this machine has.
        workloads: Names of the workloads that count; empty for all.
        budget: Minutes and drafts to spend; None for all drafts.
        fresh: Ignore what earlier runs of this campaign found.
        promoted: Folder for promotions instead of the one beside the module.
        observer: Receives events.
        accept_risk: Run drafts of a model even below isolation grade B.
        model: Which model the drafter `openai` or `vllm` asks, and what it may spend.
        strategy: How to search the parameters of a draft; see `outpace.tuner.search`.
        on_gpu: Tune for arrays that are on the GPU already, such as CuPy's, instead of NumPy's.
        ranks: Numbers of MPI ranks, for the language `mpi`; empty for as many as there are cores.

    Raises:
        ContractError: The annotation is wrong, or the reference cannot be judged.
        UsageError: No such drafter, language, workload or strategy.
        StorageError: Journal or promotion cannot be written.
        EnvironmentError_: The model's server does not answer.
    """
    truth = _reference_of(reference)
    if ranks or MPI.name in languages:
        _refuse_beside_ranks(drafter, languages)
        from outpace.tuner.mpi.tuning import Options, tune_on_ranks  # noqa: PLC0415  (uses this)

        options = Options(workloads, budget or Budget(), fresh, promoted, observer, accept_risk)
        return tune_on_ranks(truth, ranks or (len(os.sched_getaffinity(0)),), options)
    if on_gpu:
        truth, languages = truth.on_gpu(), languages or ON_A_GPU
    choice = choose(drafter, languages or _languages_here(observer, model), model)
    with open_campaign(
        truth,
        choice.identity,
        languages=choice.languages,
        workloads=workloads,
        budget=budget or Budget(),
        fresh=fresh,
        promoted=promoted,
        observer=observer,
        accept_risk=accept_risk,
        strategy=strategy,
    ) as campaign:
        source = open_drafter(choice, campaign.journal.path)
        campaign.prepare()
        drafting = draft_rounds(campaign, source, choice)
        campaign.explore(())
        result = conclude(campaign, drafting.notes)
        worth = worth_of(campaign.journal.path) if choice.asks_model else None
        return replace(result, spent=drafting.spent, worth=worth)


def _refuse_beside_ranks(drafter: str, languages: Sequence[str]) -> None:
    """Raise UsageError unless only programs for ranks are wanted, by the built-in drafter."""
    if tuple(languages) != (MPI.name,):
        raise UsageError(
            "numbers of ranks belong to the language mpi, which is tuned by itself: give "
            "--language mpi --ranks 1,2, and tune other languages without --ranks"
        )
    if drafter != "builtin":
        raise UsageError(
            f"programs for ranks are drafted by builtin, not {drafter}; `outpace judge FILE.py:fn "
            "DRAFT --language mpi --ranks 2` judges one that somebody else wrote"
        )


def _languages_here(observer: Observer, model: ModelOptions | None) -> tuple[str, ...]:
    """All languages that can be built here; what the others lack is told."""
    here = languages_here(optional=model is None)
    for name in LANGUAGES:
        if name not in here:
            observer.notice(Message(f"no drafts in {name}: {language_named(name).unavailable()}"))
    return here


def judge(
    reference: Any,
    draft: Draft,
    *,
    workloads: Sequence[str] = (),
    dry_run: bool = False,
    promoted: Path | None = None,
    observer: Observer = QUIET,
    screened: bool = True,
    accept_risk: bool = False,
    on_gpu: bool = False,
) -> Result:
    """Judge one draft, and promote it if it is confirmed faster.

    Args:
        reference: A function decorated with `outpace.optimize`, or a `Reference`.
        draft: From `outpace.kernels.languages.base.read_draft`, or made by hand.
        workloads: Names of the workloads that count; empty for all.
        dry_run: Judge only; write no promotion.
        promoted: Folder for promotions instead of the one beside the module.
        observer: Receives events.
        screened: Skip the confirmation of a draft that screening showed to be slower.
        accept_risk: Run the draft of a model even below isolation grade B.
        on_gpu: As of `tune`.

    Raises:
        ContractError: The annotation is wrong, or the reference cannot be judged.
        StorageError: Journal or promotion cannot be written.
    """
    truth = _reference_of(reference).on_gpu() if on_gpu else _reference_of(reference)
    refuse_unavailable(draft.language, truth.residence)
    chosen = workloads_of(truth, workloads)
    if not dry_run:
        _prepare_folder(truth, promoted, observer)
    with open_journal(truth, f"judge:{draft.hash}", fresh=True) as journal:
        campaign = Campaign(
            truth,
            current_target(),
            chosen,
            journal,
            Budget(),
            promoted,
            observer,
            accept_risk=accept_risk,
        )
        campaign.prepare()
        campaign.explore([draft])
        campaign.compare_contenders()
        promotions = campaign.confirm_best(dry_run=dry_run, screened=screened, attempts=1)
        return _result(campaign, promotions, campaign.verdict(), [])


@contextmanager
def open_campaign(
    reference: Reference,
    drafter: str,
    *,
    languages: Sequence[str],
    workloads: Sequence[str] = (),
    budget: Budget,
    fresh: bool = False,
    promoted: Path | None = None,
    observer: Observer = QUIET,
    accept_risk: bool = False,
    strategy: str = DEFAULT,
    journals: Path | None = None,
) -> Iterator[Campaign]:
    """A campaign with its journal open, not prepared yet.

    Args:
        reference: What to tune.
        drafter: Tells campaigns of different drafters apart.
        languages: Languages of the drafts.
        workloads: Names of the workloads that count; empty for all.
        budget: What to spend.
        fresh: Ignore what earlier runs of this campaign found.
        promoted: Folder for promotions instead of the one beside the module.
        observer: Receives events.
        accept_risk: Run drafts of a model even below isolation grade B.
        strategy: How to search the parameters of a draft.
        journals: Where the journal is kept; None for this machine's state folder.

    Raises:
        UsageError: No such workload or strategy, or a language is off.
        StorageError: Journal or promotion cannot be written.
    """
    refuse_unknown(strategy)
    for language in languages:
        refuse_unavailable(language, reference.residence)
    chosen = workloads_of(reference, workloads)
    _prepare_folder(reference, promoted, observer)
    with open_journal(reference, drafter, fresh=fresh, folder=journals) as journal:
        yield Campaign(
            reference,
            current_target(),
            chosen,
            journal,
            budget,
            promoted,
            observer,
            accept_risk=accept_risk,
            strategy=strategy,
        )


def conclude(campaign: Campaign, notes: Sequence[str] = ()) -> Result:
    """Confirm the best of what a campaign has explored, promote it and end the campaign.

    Raises:
        StorageError: Journal or promotion cannot be written.
    """
    campaign.compare_contenders()
    return _result(campaign, campaign.confirm_best(), None, notes)


def workloads_of(reference: Reference, names: Sequence[str]) -> list[Workload]:
    """The workloads of these names, or all; raises UsageError for an unknown one."""
    known = {w.name: w for w in reference.contract.workloads}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"no workload {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in names] if names else list(known.values())


def _prepare_folder(reference: Reference, promoted: Path | None, observer: Observer) -> None:
    """Find out before any work whether a promotion can be written, and say so if it is elsewhere.

    Raises:
        StorageError: It cannot.
    """
    store.refuse_unwritable(reference, promoted)
    usual, folder = store.folders_of(reference, promoted)[0], store.folder_for(reference, promoted)
    if folder != usual:
        text = f"{usual.parent} cannot be written; promotions go to {folder} and are served there"
        observer.notice(Message(text, "warning"))


def _result(
    campaign: Campaign,
    promotions: Sequence[StoredPromotion],
    verdict: Status | None,
    notes: Sequence[str],
) -> Result:
    campaign.journal.append(
        CampaignEnded(summary=f"{len(campaign.trials)} trials, {len(promotions)} promotions")
    )
    best = promotions[-1] if promotions else None
    return Result(
        campaign.reference.name,
        campaign.target,
        tuple(campaign.trials),
        verdict,
        best.promotion if best is not None else None,
        best.path if best is not None else None,
        (*notes, *campaign.notes),
        tuple(promotions[:-1]),
    )


def open_journal(
    reference: Reference, drafter: str, *, fresh: bool, folder: Path | None = None
) -> Journal:
    """The journal of a campaign, in which a run begins; arguments as of `open_campaign`."""
    target = current_target()
    if reference.residence is Residence.DEVICE:
        drafter = f"{drafter} on the GPU"
    journal = Journal.open(
        campaign_id(reference.name, reference.source_hash, target.key, drafter), fresh, folder
    )
    journal.append(
        CampaignStarted(
            reference=reference.name,
            source_hash=reference.source_hash,
            target=target.key,
            drafter=drafter,
            version=importlib.metadata.version("outpace"),
        )
    )
    return journal


def _reference_of(given: Any) -> Reference:
    found = given if isinstance(given, Reference) else getattr(given, "reference", None)
    if isinstance(found, Reference):
        return found
    raise ContractError(
        f"{getattr(given, '__name__', given)!r} has no contract; decorate it with "
        "`@outpace.optimize(workloads={...})` or use `outpace.reference(fn, workloads={...})`"
    )


def refuse_unavailable(language: str, residence: Residence = Residence.HOST) -> None:
    """Raise UsageError for a language that is unknown, off on this machine, or not timed.

    So is one whose kernels cannot take arrays where they lie.
    """
    spoken = language_named(language)
    if residence is Residence.DEVICE and language not in ON_A_GPU:
        raise UsageError(f"kernels in {language} cannot take arrays on a GPU; draft in cuda")
    if language not in (*LANGUAGES, *OPTIONAL, *ON_A_GPU):
        raise UsageError(
            f"drafts in {language} are checked and not timed yet: "
            f"`outpace judge FILE.py:fn DRAFT --language {language}` judges one"
        )
    why = spoken.unavailable()
    if why is not None:
        raise UsageError(f"the language {language} is off: {why}")
