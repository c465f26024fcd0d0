"""Drafts for a GPU that is not here: `judge` compiles and simulates them instead of timing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outpace.errors import UsageError

if TYPE_CHECKING:
    from outpace.codegen.reference import Reference
    from outpace.model import Draft
    from outpace.tuner.api import Result
    from outpace.tuner.events import Observer


def simulates(draft: Draft, target: str | None) -> bool:
    """Whether a draft is for a GPU that is not here: a named one, or any where there is none.

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
        return False
    from outpace.kernels.gpu.device import device_missing  # noqa: PLC0415

    return device_missing() is not None


def judged_in_simulation(
    reference: Reference,
    draft: Draft,
    target: str | None,
    observer: Observer,
    accept_risk: bool,
) -> Result:
    """What `outpace.tuner.unplugged.judge_unplugged` finds for the GPU that was named."""
    from outpace.tuner.unplugged import judge_unplugged  # noqa: PLC0415

    return judge_unplugged(
        reference,
        draft,
        architecture=None if target is None else _architecture(target),
        observer=observer,
        accept_risk=accept_risk,
    )


def _architecture(target: str) -> str:
    from outpace.codegen.cuda.limits import ARCHITECTURES  # noqa: PLC0415

    kind, _, name = target.partition(":")
    if kind != "cuda" or name not in ARCHITECTURES:
        known = ", ".join(f"cuda:{name}" for name in ARCHITECTURES)
        raise UsageError(f"--target {target} is no GPU known here; there are {known}")
    return name
