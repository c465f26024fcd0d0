"""Whether a promotion would be served on this machine, in words."""

from __future__ import annotations

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
    if promotion.key.dtypes != key.dtypes or promotion.key.layout != key.layout:
        reasons.append("it is for other dtypes or another memory layout")
    reasons += target_differences(promotion, here)
    if promotion.key.ranks != key.ranks:
        reasons.append(f"it is for {promotion.key.ranks} ranks")
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
    """Compilers and libraries that differ from those at promotion; a warning, no obstacle."""
    names = sorted(set(promotion.target.versions) | set(here.versions))
    pairs = {n: (promotion.target.versions.get(n), here.versions.get(n)) for n in names}
    return tuple(
        f"{name} was {before or 'absent'}, is {now or 'absent'}"
        for name, (before, now) in pairs.items()
        if before != now
    )
