"""How near a promoted kernel comes to what memory allows."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from outpace.codegen.feedback import bottleneck, moved_bytes
from outpace.codegen.machine import Machine
from outpace.model import Contract, Evidence, Promotion


@dataclass(frozen=True)
class Position:
    """A promotion under the roof of memory, at one workload.

    Operations are not counted, so there is no roof of arithmetic.

    Attributes:
        workload: Its name.
        moved: Bytes that any kernel must move there.
        reference: Seconds of one call of the reference, median over all timed pairs.
        seconds: Of the promoted kernel, likewise.
        roof: Bytes a second of the machine; None where the promotion was made on another one, or
            where the bytes fit into its last cache, so that memory sets no limit.
        sentence: What bounds the kernel; empty where the promotion was made on another machine.
    """

    workload: str
    moved: int
    reference: float
    seconds: float
    roof: float | None
    sentence: str


def positions(promotion: Promotion, machine: Machine | None) -> tuple[Position, ...]:
    """Where a promotion stands at each confirmed workload with raw timings.

    Args:
        promotion: With its contract.
        machine: The one it was made on, as it is now; None for another one.
    """
    found = (_position(promotion.contract, e, machine) for e in promotion.evidence)
    return tuple(position for position in found if position is not None)


def _position(contract: Contract, evidence: Evidence, machine: Machine | None) -> Position | None:
    reference = [t for pair in evidence.samples for t in pair.baseline]
    variant = [t for pair in evidence.samples for t in pair.variant]
    if not (reference and variant):
        return None
    moved, seconds = moved_bytes(contract, evidence.workload), median(variant)
    sentence, roof = "", None
    if machine is not None:
        sentence = bottleneck(seconds, moved, machine)
        cached = machine.last_cache is not None and moved < machine.last_cache
        roof = None if cached else machine.bandwidth
    return Position(evidence.workload.name, moved, median(reference), seconds, roof, sentence)
