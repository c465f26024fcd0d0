"""`check`: committed promotions are verified and timed again on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from outpace.codegen.reference import Reference, load_reference
from outpace.errors import ContractError, OutpaceError, UsageError
from outpace.kernels import promotions as store
from outpace.kernels.promotions import StoredPromotion
from outpace.kernels.target import current_target
from outpace.model import Promotion, Speedup, Status
from outpace.tuner.campaign import Budget, Campaign
from outpace.tuner.confirm import Confirmation
from outpace.tuner.events import QUIET, Message, Observer
from outpace.tuner.journal import Journal, campaign_id

CHECK_ALPHA = 0.05
"""A check promotes nothing, so it may stop earlier than a confirmation."""


@dataclass(frozen=True)
class CheckResult:
    """What checking one promotion gave.

    Attributes:
        path: Folder of the promotion.
        reference: `module:qualname`.
        status: `faster` if it still holds at every confirmed workload, else the worst outcome.
        reason: One sentence for a person.
        speedup: At the workload that the reason names, or None when it was not timed.
    """

    path: Path
    reference: str
    status: Status
    reason: str
    speedup: Speedup | None


def check(paths: Sequence[Path] = (), *, observer: Observer = QUIET) -> list[CheckResult]:
    """Verify and time every promotion found under these paths again.

    Args:
        paths: Folders to search, or folders of single promotions; empty for the current folder.
        observer: Receives events.

    Raises:
        UsageError: A path does not exist, or holds no promotion.
    """
    folders = store.folders_under(paths or [Path()])
    if not folders:
        where = ", ".join(str(p) for p in paths) or "the current folder"
        raise UsageError(f"no promotion under {where}; `outpace tune FILE.py:fn` makes one")
    return [_check_one(folder, observer) for folder in folders]


def _check_one(folder: Path, observer: Observer) -> CheckResult:
    observer.notice(Message(f"checking {folder}"))
    try:
        stored = store.read(folder)
    except OutpaceError as error:
        return CheckResult(folder, "", Status.INVALID, str(error), None)
    promotion = stored.promotion
    try:
        reference = _reference_of(stored)
        if reference.source_hash != promotion.key.source_hash:
            raise ContractError(
                "the reference has changed since; it is not served; run `outpace tune` again"
            )
        if promotion.key.layout == store.ON_GPU:
            reference = reference.on_gpu()
        return _judged(folder, reference, promotion, observer)
    except OutpaceError as error:
        return CheckResult(folder, promotion.reference, Status.INVALID, str(error), None)


def _reference_of(stored: StoredPromotion) -> Reference:
    """The reference of a promotion: of the module beside its folder, else by module name."""
    module, _, qualname = stored.promotion.reference.partition(":")
    beside = stored.path.resolve().parents[2] / f"{module.rpartition('.')[2]}.py"
    return load_reference(f"{beside if beside.exists() else module}:{qualname}")


def _judged(
    folder: Path, reference: Reference, promotion: Promotion, observer: Observer
) -> CheckResult:
    workloads = [evidence.workload for evidence in promotion.evidence]
    target = current_target()
    name = campaign_id(reference.name, reference.source_hash, target.key, "check")
    with Journal.open(name, fresh=True) as journal:
        campaign = Campaign(
            reference, target, workloads, journal, Budget(), None, observer, accept_risk=True
        )
        campaign.prepare()
        campaign.evaluate([promotion.variant])
        if campaign.trials:
            failed = campaign.trials[-1]
            return CheckResult(folder, reference.name, failed.status, failed.reason, None)
        results = campaign.confirm_against_reference(promotion.variant, CHECK_ALPHA)
    return _summary(folder, reference, results)


def _summary(folder: Path, reference: Reference, results: Sequence[Confirmation]) -> CheckResult:
    """The worst outcome over the workloads speaks for the promotion, of equal ones the last."""
    order = (Status.INCONCLUSIVE, Status.NOT_FASTER)

    def badness(result: Confirmation) -> int:
        if result.status is Status.FASTER:
            return 0
        return 1 + order.index(result.status) if result.status in order else 3

    worst = max(reversed(results), key=badness)
    reason = f"{worst.workload.name}: {worst.reason}"
    return CheckResult(folder, reference.name, worst.status, reason, worst.speedup)
