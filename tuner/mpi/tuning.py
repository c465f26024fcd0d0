"""`tune --language mpi --ranks`: programs for ranks are drafted, checked, timed and promoted."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from outpace.codegen.mpi.drafts import mpi_drafts
from outpace.codegen.mpi.layout import cut_dims
from outpace.codegen.mpi.local import default_kernel, kernel_of
from outpace.codegen.reference import Reference
from outpace.errors import ContractError, EnvironmentError_, UsageError
from outpace.kernels.promotions import StoredPromotion
from outpace.model import Draft, Status, Variant
from outpace.tuner.api import Result, open_campaign, open_journal
from outpace.tuner.campaign import Budget, Campaign
from outpace.tuner.events import QUIET, Message, Observer
from outpace.tuner.journal import CampaignEnded
from outpace.tuner.mpi import launch
from outpace.tuner.mpi.baselines import DRAFTER, EXPLORED, Baselines, find_baselines
from outpace.tuner.mpi.campaign import RankCampaign
from outpace.tuner.mpi.judge import RANKS, MpiJudge
from outpace.tuner.mpi.measured import ranks_text
from outpace.tuner.mpi.promising import machine_of, promising
from outpace.tuner.numerics.annotation import prove_annotation
from outpace.tuner.untimed import few_variants

ATTEMPTS = 2
"""Finalists that are tried at a workload."""
PROGRAMS = 12
"""Variants of programs that are tried on each number of ranks, where no budget says otherwise."""
UNTIMED_PROGRAMS = 2
"""The same where there are not the cores to time them."""
_FOR_BASELINES = 0.4
"""Share of the minutes of a budget that the search for baselines may take."""


_Done = tuple[RankCampaign, list[StoredPromotion]]
"""The work on one number of ranks, and what it has promoted."""


@dataclass(frozen=True)
class Options:
    """How programs for ranks are tuned.

    Attributes:
        workloads: Names of the workloads that count; empty for all.
        budget: Minutes for everything, drafts for each number of ranks.
        fresh: Ignore what earlier runs found.
        promoted: Folder for promotions instead of the one beside the module.
        observer: Receives events.
        accept_risk: Run the draft of a model even below isolation grade B.
    """

    workloads: Sequence[str] = ()
    budget: Budget = field(default_factory=Budget)
    fresh: bool = False
    promoted: Path | None = None
    observer: Observer = QUIET
    accept_risk: bool = False


def tune_on_ranks(reference: Reference, ranks: Sequence[int], options: Options) -> Result:
    """Draft programs around the best serial kernel, and promote the best for each number of ranks.

    A program is promoted where it is confirmed faster than the reference, the best serial and the
    best threaded variant on the same cores, and the promotion for these ranks.

    Args:
        reference: Its contract says how it may be cut.
        ranks: Numbers of ranks, each at least 1.
        options: How.

    Returns:
        The trials of programs, and their promotions: that for most ranks first.

    Raises:
        ContractError: The reference cannot be judged, cut, or the annotation does not hold.
        UsageError: No such workload, or a number of ranks that is none.
        EnvironmentError_: There is no MPI here.
        StorageError: Journal or promotion cannot be written.
    """
    refuse_impossible(reference, ranks)
    with _bench(reference, options) as bench:
        kernel = _local_kernel(bench)
        done: list[_Done] = []
        for number in sorted(set(ranks)):
            with _campaign(bench, number, f"mpi on {number}", options) as campaign:
                variants = _variants(bench, mpi_drafts(reference, kernel, number), number)
                if not campaign.is_timed:
                    campaign.check_untimed(variants[:UNTIMED_PROGRAMS])
                    done.append((campaign, []))
                    continue
                campaign.tune(variants, options.budget.drafts or PROGRAMS)
                # What screening finds slower is measured, too: its efficiency is worth knowing.
                promoted = campaign.confirm_best(screened=False, attempts=ATTEMPTS)
                done.append((campaign, promoted))
        return _result(bench.base, done)


def judge_for_ranks(
    reference: Reference,
    draft: Draft,
    ranks: Sequence[int],
    options: Options,
    *,
    dry_run: bool = False,
) -> Result:
    """Time one draft that was checked, and promote it for each number of ranks where it is faster.

    Arguments, errors and result are those of `tune_on_ranks`; a dry run promotes nothing.
    """
    refuse_impossible(reference, ranks)
    with _bench(reference, options) as bench:
        done: list[_Done] = []
        for number in sorted(set(ranks)):
            name = f"judge:{draft.hash} on {number}"
            tried = tuple(sorted({*RANKS, number}))
            with _campaign(bench, number, name, options, tried=tried) as campaign:
                if not campaign.is_timed:
                    campaign.check_untimed(tuple(few_variants(draft)))
                    done.append((campaign, []))
                    continue
                campaign.explore([draft])
                campaign.compare_contenders()
                done.append((campaign, campaign.confirm_best(dry_run=dry_run, attempts=1)))
        verdict = _verdict([campaign.verdict() for campaign, _ in done])
        return replace(_result(bench.base, done), verdict=verdict)


def refuse_impossible(reference: Reference, ranks: Sequence[int]) -> None:
    """Raise before any work where programs for these ranks cannot be tuned; see `tune_on_ranks`."""
    if not ranks or min(ranks) < 1:
        raise UsageError(f"{list(ranks)} are no numbers of ranks; give for example 1, 2")
    if (missing := launch.unavailable()) is not None:
        raise EnvironmentError_(f"ranks cannot be started: {missing}")
    if not cut_dims(reference.contract):
        raise ContractError(
            f"{reference.name} names no dim that may be cut over ranks; declare one, as in "
            'split={"y": Block(halo=1)}, or let `outpace check-annotation` propose it'
        )


def _verdict(statuses: Sequence[Status]) -> Status:
    """Over several numbers of ranks: a failure on any, else the best outcome."""
    outcomes = (Status.FASTER, Status.INCONCLUSIVE, Status.NOT_FASTER, Status.CHECKED)
    failed = [status for status in statuses if status not in outcomes]
    return failed[0] if failed else min(statuses, key=outcomes.index)


@dataclass(frozen=True)
class _Bench:
    """What campaigns on all numbers of ranks share."""

    base: Campaign
    baselines: Baselines


@contextmanager
def _bench(reference: Reference, options: Options) -> Iterator[_Bench]:
    """Check the reference, prove its annotation, find the baselines."""
    minutes = options.budget.minutes
    explored = replace(EXPLORED, minutes=None if minutes is None else _FOR_BASELINES * minutes)
    with open_campaign(
        reference,
        DRAFTER,
        languages=(),
        workloads=options.workloads,
        budget=explored,
        fresh=options.fresh,
        promoted=options.promoted,
        observer=options.observer,
        accept_risk=options.accept_risk,
    ) as base:
        base.prepare()
        proof = prove_annotation(reference, seed=secrets.randbits(62), oracle=base.checked.oracle)
        if proof.violation is not None:
            raise ContractError(
                f"nothing is drafted from an annotation that does not hold: {proof.violation}; "
                "`outpace check-annotation` says more"
            )
        yield _Bench(base, find_baselines(base))


def _local_kernel(bench: _Bench) -> str:
    """Source of the kernel that programs embed."""
    reference, serial = bench.base.reference, bench.baselines.serial
    return default_kernel(reference) if serial is None else kernel_of(serial, reference)


@contextmanager
def _campaign(
    bench: _Bench, ranks: int, name: str, options: Options, tried: tuple[int, ...] = ()
) -> Iterator[RankCampaign]:
    """The campaign on one number of ranks; programs are tried on `tried`, else on that alone."""
    base = bench.base
    base.observer.notice(Message(f"programs for {ranks_text(ranks)}"))
    judge = MpiJudge(base.reference, ranks=tried or (ranks,), checked=base.checked)
    budget = replace(options.budget, drafts=options.budget.drafts or PROGRAMS)
    with open_journal(base.reference, name, fresh=options.fresh) as journal:
        campaign = RankCampaign(
            base, ranks, bench.baselines, judge, journal, budget, options.promoted
        )
        yield campaign
        journal.append(CampaignEnded(summary=f"{len(campaign.trials)} trials"))


def _variants(bench: _Bench, drafts: Sequence[Draft], ranks: int) -> list[Variant]:
    """In the order in which they are tried."""
    base = bench.base
    plan = max(base.plans, key=lambda one: one.reference_seconds)
    rivals = bench.baselines.at[plan.workload.name].values()
    fastest = min((one.seconds[plan.workload.name] for one in rivals), default=None)
    sizes = plan.workload.sizes
    machine = machine_of(base.reference, sizes, fastest or plan.reference_seconds)
    return promising(base.reference, drafts, ranks, sizes, machine)


def _result(base: Campaign, done: Sequence[_Done]) -> Result:
    promotions = [one for _, stored in reversed(done) for one in reversed(stored)]
    best = promotions[0] if promotions else None
    notes = [note for campaign, _ in done for note in campaign.notes]
    measured = tuple(one for campaign, _ in done for one in campaign.measured)
    return Result(
        base.reference.name,
        base.target,
        tuple(trial for campaign, _ in done for trial in campaign.trials),
        None,
        best.promotion if best is not None else None,
        best.path if best is not None else None,
        (*base.notes, *notes, *(one.sentence for one in measured)),
        tuple(promotions[1:]),
        measured=measured,
    )
