"""Which promotion of several was confirmed nearest to the sizes of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import Protocol, TypeVar

from outpace.codegen.dims import sizes_text
from outpace.codegen.domain import allows
from outpace.kernels.arguments import Unfit
from outpace.model import Contract, Evidence, Promotion


class Promoted(Protocol):
    """Something that holds a promotion."""

    @property
    def promotion(self) -> Promotion:
        """The stored value."""


P = TypeVar("P", bound=Promoted)


def covers(confirmed: Mapping[str, int], sizes: Mapping[str, int]) -> bool:
    """Whether every size is within 0.5 to 2 times its confirmed value."""
    return all(_is_near(n, sizes[name]) for name, n in confirmed.items())


def _is_near(confirmed: int, size: int) -> bool:
    if confirmed == 0 or (confirmed < 0) != (size < 0):
        return size == confirmed
    return abs(confirmed) <= 2 * abs(size) and abs(size) <= 2 * abs(confirmed)


def usable(
    contract: Contract, promoted: Sequence[P], sizes: Mapping[str, int]
) -> list[tuple[P, Evidence]]:
    """What was confirmed near these sizes, where the reference did not raise; at least one.

    Args:
        contract: Of the reference.
        promoted: What there is.
        sizes: Every dim and every int argument of a call.

    Raises:
        Unfit: There is none, or the sizes are outside the domain.
    """
    if not allows(contract, sizes):
        raise Unfit(f"size {sizes_text(sizes)} is outside the domain `{contract.where}`")
    near = [
        (one, evidence)
        for one in promoted
        for evidence in one.promotion.evidence
        if covers(evidence.workload.sizes, sizes)
    ]
    if not near:
        raise Unfit(outside(sizes, promoted))
    found = [pair for pair in near if not is_refused(pair[0].promotion, sizes)]
    if not found:
        raise Unfit(f"the reference raised at size {sizes_text(sizes)} while it was judged")
    return found


def nearest(found: Sequence[tuple[P, Evidence]], sizes: Mapping[str, int]) -> tuple[P, Evidence]:
    """The one confirmed on the workload nearest to these sizes, of several the newest.

    Args:
        found: At least one; each covers these sizes.
        sizes: Those of them that the distance counts.
    """
    newest = sorted(found, key=lambda pair: pair[0].promotion.created, reverse=True)
    return min(newest, key=lambda pair: _distance(pair[1].workload.sizes, sizes))


def _distance(confirmed: Mapping[str, int], sizes: Mapping[str, int]) -> float:
    """Sum over the sizes of |log(size / confirmed)|; zeros only ever meet zeros."""
    known = [(n, sizes[name]) for name, n in confirmed.items() if n and name in sizes]
    return sum(abs(log(size / n)) for n, size in known)


def is_refused(promotion: Promotion, sizes: Mapping[str, int]) -> bool:
    """Whether the reference raised at these sizes while the promotion was judged."""
    return any(refused.items() <= sizes.items() for refused in promotion.refused_sizes)


def outside(sizes: Mapping[str, int], served: Sequence[Promoted]) -> str:
    """Why no promotion covers these sizes: the sizes that no workload comes near, else all."""
    workloads = [e.workload for s in served for e in s.promotion.evidence]
    far = {
        name: size
        for name, size in sizes.items()
        if not any(_is_near(w.sizes[name], size) for w in workloads if name in w.sizes)
    }
    blamed = far or dict(sizes)
    confirmed = "; ".join(
        sizes_text({name: w.sizes[name] for name in blamed if name in w.sizes}) for w in workloads
    )
    return (
        f"size {sizes_text(blamed)} is outside 0.5 to 2 times of every confirmed workload "
        f"({confirmed})"
    )
