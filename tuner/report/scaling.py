"""How promotions over several MPI ranks compare with the one over fewest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from outpace.model import Promotion


@dataclass(frozen=True)
class Scaled:
    """One workload over some ranks.

    Attributes:
        workload: Its name.
        ranks: MPI ranks.
        seconds: Of one call, median over all timed pairs.
        speedup: Over the promotion with the fewest ranks.
        efficiency: Speedup over how many times more ranks there are.
    """

    workload: str
    ranks: int
    seconds: float
    speedup: float
    efficiency: float


def scaling(promotions: Iterable[Promotion]) -> tuple[Scaled, ...]:
    """Strong scaling of one reference, by source, target and size; empty for one rank count.

    Where several promotions have the same ranks, the fastest counts.
    """
    best: dict[tuple[str, str, str, str], dict[int, float]] = {}
    for promotion in promotions:
        for evidence in promotion.evidence:
            times = [t for pair in evidence.samples for t in pair.variant]
            if times:
                size = repr(sorted(evidence.workload.sizes.items()))
                made = promotion.key
                key = (made.source_hash, made.target, evidence.workload.name, size)
                by_ranks = best.setdefault(key, {})
                ranks, seconds = made.ranks, median(times)
                by_ranks[ranks] = min(seconds, by_ranks.get(ranks, seconds))
    return tuple(
        _scaled(workload, by_ranks, ranks)
        for (_, _, workload, _), by_ranks in sorted(best.items())
        if len(by_ranks) > 1
        for ranks in sorted(by_ranks)
    )


def _scaled(workload: str, by_ranks: dict[int, float], ranks: int) -> Scaled:
    fewest = min(by_ranks)
    speedup = by_ranks[fewest] / by_ranks[ranks]
    return Scaled(workload, ranks, by_ranks[ranks], speedup, speedup * fewest / ranks)
