"""Which promotions this process has run, for the appendix of a paper or a restart file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from outpace.kernels.promotions import StoredPromotion

MOST_SIZES = 1000
"""Sizes that are remembered for each promotion."""


@dataclass(frozen=True)
class Used:
    """A promotion that ran.

    Attributes:
        reference: Name of the function, with its module.
        promotion: Hash of the promotion's key, which names its folder.
        variant: Hash of the draft with its parameters bound.
        source_hash: Of the reference for which it was judged.
        folder: Where it was read from.
        sizes: Problem sizes for which it ran, the first thousand of them, sorted.
    """

    reference: str
    promotion: str
    variant: str
    source_hash: str
    folder: Path
    sizes: tuple[dict[str, int], ...]


_stored: dict[Path, StoredPromotion] = {}
_sizes: dict[Path, set[tuple[tuple[str, int], ...]]] = {}


def record(stored: StoredPromotion, sizes: Mapping[str, int]) -> None:
    """Note that a promotion runs for these sizes."""
    _stored[stored.path] = stored
    met = _sizes.setdefault(stored.path, set())
    if len(met) < MOST_SIZES:
        met.add(tuple(sizes.items()))


def used() -> tuple[Used, ...]:
    """The promotions that ran in this process so far, in the order of their first calls.

    Functions that ran their reference are not among them. A forked child begins with what its
    parent had run.
    """
    return tuple(
        Used(
            stored.promotion.reference,
            stored.promotion.key.hash,
            stored.promotion.variant.hash,
            stored.promotion.key.source_hash,
            path,
            tuple(dict(sizes) for sizes in sorted(_sizes[path])),
        )
        for path, stored in _stored.items()
    )
