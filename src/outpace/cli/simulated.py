"""Drafts for a GPU that is not here, and for MPI ranks: checked, and timed on ranks if asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from outpace.errors import UsageError

if TYPE_CHECKING:
    from outpace.codegen.reference import Reference
    from outpace.model import Draft
    from outpace.tuner.api import Result
    from outpace.tuner.events import Observer


def simulates(draft: Draft, target: str | None) -> bool:
    """Whether a draft is for ranks, or for a GPU that is named or not here.

    Raises:
        UsageError: A GPU is named for a draft in another language, or not as `cuda:sm_90`.
    """
    if target is not None:
        _architecture(target)
        if draft.language != "cuda":
            raise UsageError(
                f"--target {target} is for drafts in CUDA; this one is {draft.language}"
            )
        return True
    if draft.language != "cuda":
        return draft.language == "mpi"
    from outpace.kernels.gpu.device import device_missing  # noqa: PLC0415

    return device_missing() is not None


def judged_in_simulation(
    reference: Reference,
    draft: Draft,
    target: str | None,
    observer: Observer,
    accept_risk: bool,
) -> Result:
    """What is found for the GPU that was named, or on ranks."""
    if draft.language == "mpi":
        from outpace.tuner.mpi.judging import judge_on_ranks  # noqa: PLC0415

        return judge_on_ranks(reference, draft, observer=observer, accept_risk=accept_risk)
    from outpace.tuner.unplugged import judge_unplugged  # noqa: PLC0415

    return judge_unplugged(
        reference,
        draft,
        architecture=None if target is None else _architecture(target),
        observer=observer,
        accept_risk=accept_risk,
    )


def judged_on_ranks(
    reference: Reference,
    draft: Draft,
    observer: Observer,
    accept_risk: bool,
    *,
    ranks: Sequence[int],
    workloads: Sequence[str],
    dry_run: bool,
    promoted: Path | None,
) -> Result:
    """What is found when a draft for MPI is checked, and timed on these numbers of ranks."""
    from outpace.tuner.mpi.tuning import Options, judge_for_ranks  # noqa: PLC0415

    options = Options(
        workloads=workloads, promoted=promoted, observer=observer, accept_risk=accept_risk
    )
    return judge_for_ranks(reference, draft, ranks, options, dry_run=dry_run)


def _architecture(target: str) -> str:
    from outpace.codegen.cuda.limits import ARCHITECTURES  # noqa: PLC0415

    kind, _, name = target.partition(":")
    if kind != "cuda" or name not in ARCHITECTURES:
        known = ", ".join(f"cuda:{name}" for name in ARCHITECTURES)
        raise UsageError(f"--target {target} is no GPU known here; there are {known}")
    return name
