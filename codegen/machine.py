"""What a drafter should know of the machine beyond its name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cache:
    """One level of data cache.

    Attributes:
        level: 1 for the one next to the core.
        size: Bytes.
        shared_by: Logical cores that share it.
    """

    level: int
    size: int
    shared_by: int


@dataclass(frozen=True)
class Machine:
    """Facts that bound the speed of a kernel.

    Attributes:
        caches: From the first level to the last; empty where unknown.
        bandwidth: Bytes a second that all allowed cores together read and write when they copy
            memory; None where it was not measured.
    """

    caches: tuple[Cache, ...] = ()
    bandwidth: float | None = None

    @property
    def last_cache(self) -> int | None:
        """Bytes of the last level, or None where unknown."""
        return self.caches[-1].size if self.caches else None
