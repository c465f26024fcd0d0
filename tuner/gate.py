"""The gate: which promotion serves a workload now, and how a confirmed variant takes its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from outpace.codegen.reference import Reference
from outpace.kernels import promotions as store
from outpace.kernels.promotions import StoredPromotion
from outpace.model import (
    Evidence,
    Promotion,
    PromotionKey,
    RankEvidence,
    Status,
    Target,
    Variant,
    Workload,
)
from outpace.tuner.confirm import Confirmation
from outpace.tuner.contenders import Against
from outpace.tuner.numerics.selfcheck import CheckedReference


class Gate:
    """Promotions of one reference on one target.

    Attributes:
        reference: Whose promotions these are.
        target: Where they are served.
        folder: Folder for promotions instead of the one beside the module, or None.
        ranks: Number of ranks of the programs that are promoted, or None for kernels of the
            function itself.
    """

    def __init__(
        self, reference: Reference, target: Target, folder: Path | None, ranks: int | None = None
    ) -> None:
        """Read nothing yet."""
        self.ranks = ranks
        self.reference = reference
        self.target = target
        self.folder = folder

    def incumbent(self, workload: Workload) -> Promotion | None:
        """The newest promotion that was confirmed at this workload."""
        fitting = [
            stored.promotion
            for stored in self._current()
            if any(e.workload.sizes == workload.sizes for e in stored.promotion.evidence)
        ]
        return max(fitting, key=lambda p: p.created, default=None)

    def promotion(
        self,
        variant: Variant,
        checked: CheckedReference,
        results: Sequence[Confirmation],
        alpha: float,
        over_numba: Mapping[str, float],
    ) -> Promotion:
        """What a variant has earned: evidence for every workload that it won.

        Args:
            variant: The finalist.
            checked: Its reference.
            results: Of its confirmation; at least one is `faster`.
            alpha: False-promotion probability that was spent on all of them.
            over_numba: Screened speedup over plain Numba by workload name, where there is one.
        """
        won = [result for result in results if result.status is Status.FASTER]
        evidence = tuple(
            self._evidence(result, checked, alpha / len(results), over_numba) for result in won
        )
        return Promotion(
            self.reference.name,
            self._key([e.workload for e in evidence]),
            variant,
            evidence,
            self.target,
            won[0].grade,
            self.reference.contract,
            tuple(checked.refused_sizes),
            datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _evidence(
        self,
        result: Confirmation,
        checked: CheckedReference,
        alpha: float,
        over_numba: Mapping[str, float],
    ) -> Evidence:
        common = Evidence(
            result.workload,
            result.measured,
            result.samples,
            checked.oracle.mode,
            {
                "drawn cases": len(checked.cases),
                "timed outputs": result.timed_outputs,
                "full rule": result.audited,
            },
            alpha,
            result.over_rivals.get(Against.INCUMBENT),
            over_numba.get(result.workload.name),
            result.roofline,
        )
        if self.ranks is None:
            return common
        return RankEvidence(
            **{name: getattr(common, name) for name in common.__struct_fields__},
            over_serial=result.over_rivals.get(Against.SERIAL),
            over_threaded=result.over_rivals.get(Against.THREADED),
        )

    def write(self, promotion: Promotion) -> StoredPromotion:
        """Store a promotion and take its workloads away from older ones.

        Raises:
            StorageError: It cannot be written; what was there before is intact.
        """
        promotion = self._merged(promotion)
        path = store.write(promotion, self.reference, self.folder)
        sizes = [evidence.workload.sizes for evidence in promotion.evidence]
        for stored in self._current():
            old = stored.promotion
            kept = tuple(e for e in old.evidence if e.workload.sizes not in sizes)
            if stored.path == path or len(kept) == len(old.evidence):
                continue
            if kept:
                key = self._key([e.workload for e in kept])
                narrowed = msgspec.structs.replace(old, key=key, evidence=kept)
                store.write(narrowed, self.reference, self.folder)
            store.remove(stored.path)
        return StoredPromotion(path, promotion)

    def _merged(self, promotion: Promotion) -> Promotion:
        """With what the same variant was promoted for before, so that it stands in one place."""
        evidence = {tuple(e.workload.sizes.items()): e for e in promotion.evidence}
        for stored in self._current():
            if stored.promotion.variant == promotion.variant:
                for old in stored.promotion.evidence:
                    evidence.setdefault(tuple(old.workload.sizes.items()), old)
        workloads = [e.workload for e in evidence.values()]
        return msgspec.structs.replace(
            promotion,
            key=self._key(workloads),
            evidence=tuple(evidence.values()),
        )

    def _key(self, workloads: Sequence[Workload]) -> PromotionKey:
        return store.key_for(self.reference, self.target, workloads, self.ranks)

    def _current(self) -> list[StoredPromotion]:
        """Promotions of this very source that would be served on this target, on these ranks."""
        wanted = self._key(())
        return [
            stored
            for stored in store.find(self.reference, self.folder)
            if stored.promotion.key.source_hash == wanted.source_hash
            and stored.promotion.key.target == wanted.target
            and stored.promotion.key.layout == wanted.layout
            and stored.promotion.key.ranks == wanted.ranks
        ]
