"""Whether a promotion would be served on this machine, in words."""

from __future__ import annotations

from outpace.kernels.target import toolchain
from outpace.model import Promotion, PromotionKey, Target

_HARDWARE = {
    "architecture": "architecture",
    "cpu": "CPU",
    "cores": "allowed cores",
    "gpu": "GPU",
    "driver": "GPU driver",
}


def obstacles(promotion: Promotion, key: PromotionKey, here: Target) -> tuple[str, ...]:
    """Why a promotion is not served; empty when it is.

    Args:
        promotion: One that was found for a reference.
        key: What the reference is looked up by here.
        here: The target of this process.
    """
    if promotion.key == key:
        return ()
    reasons = []
    if promotion.key.source_hash != key.source_hash:
        reasons.append("the reference, a helper or a captured constant has changed since")
    on_ranks = promotion.variant.draft.language == "mpi"
    if promotion.key.dtypes != key.dtypes or (promotion.key.layout != key.layout and not on_ranks):
        reasons.append("it is for other dtypes or another memory layout")
    reasons += target_differences(promotion, here)
    if on_ranks:
        count = promotion.key.ranks
        reasons.append(f"it is a program for {count} MPI rank{'s' * (count > 1)}")
    return tuple(reasons)


def target_differences(promotion: Promotion, here: Target) -> tuple[str, ...]:
    """Why a promotion is for other hardware; empty when it is for this."""
    if promotion.key.target == here.key:
        return ()
    differences = tuple(
        f"made for {label} {getattr(promotion.target, name)}, here is {getattr(here, name)}"
        for name, label in _HARDWARE.items()
        if getattr(promotion.target, name) != getattr(here, name)
    )
    return differences or ("made for another machine",)


def version_differences(promotion: Promotion, here: Target) -> tuple[str, ...]:
    """Tools of its language that differ from those at promotion; a warning, no obstacle."""
    recorded = promotion.target.versions
    names = toolchain(promotion.variant.draft.language)
    return tuple(
        f"{name} was {recorded[name]}, is {here.versions.get(name, 'absent')}"
        for name in names
        if name in recorded and recorded[name] != here.versions.get(name)
    )
