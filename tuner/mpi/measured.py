"""What confirmations of programs for ranks have measured, promoted or not."""

from __future__ import annotations

from dataclasses import dataclass

from outpace.model import PairSamples, Speedup, Status


@dataclass(frozen=True)
class RankTimes:
    """One program at one workload on some ranks, timed beside its rivals.

    Attributes:
        ranks: Number of ranks.
        workload: Its name.
        label: What the program calls itself.
        status: How its confirmation ended.
        over_reference: Speedup over the reference.
        over_serial: Over the best variant on one thread; None where there is none.
        over_threaded: Over the best variant on threads of the same cores; None as before.
        samples: Raw timings beside the reference, one entry a process pair.
    """

    ranks: int
    workload: str
    label: str
    status: Status
    over_reference: Speedup
    over_serial: Speedup | None
    over_threaded: Speedup | None
    samples: tuple[PairSamples, ...]

    @property
    def efficiency(self) -> float | None:
        """Time of the best serial variant over the time of all ranks together."""
        return None if self.over_serial is None else self.over_serial.median / self.ranks

    @property
    def threaded_efficiency(self) -> float | None:
        """The same of the best threaded variant on as many cores.

        Where there is none that is of the reference, whose libraries may have threads of their own.
        """
        if self.over_serial is None:
            return None
        threaded = self.over_threaded or self.over_reference
        return self.over_serial.median / threaded.median / self.ranks

    @property
    def sentence(self) -> str:
        """For a person."""
        told = [f"{self.over_reference.median:.2f}x of the reference"]
        if self.over_serial is not None:
            told.append(f"{self.over_serial.median:.2f}x of the best serial variant")
        if self.over_threaded is not None:
            told.append(f"{self.over_threaded.median:.2f}x of the best threaded one")
        if self.efficiency is not None and self.ranks > 1:
            told.append(f"efficiency {self.efficiency:.2f}")
        return (
            f"{self.label} on {ranks_text(self.ranks)} at workload {self.workload!r}: "
            f"{', '.join(told)}"
        )


def ranks_text(ranks: int) -> str:
    """A number of ranks as a person would write it."""
    return f"{ranks} rank{'s' * (ranks != 1)}"
