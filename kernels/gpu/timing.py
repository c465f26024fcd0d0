"""Timing on a GPU by two clocks: events on the stream, and the host's around them.

A batch is long enough that the resolution of events, about 0.5 us, does not matter. Where the two
clocks disagree, work went on outside of the events, and the time is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LEAST_SECONDS = 1e-3
"""Of a batch."""
_OVERHEAD = 200e-6
"""Seconds that the host may take longer than the events: enqueueing and synchronising."""
_SHARE = 0.05
"""Of the time; the same."""


@dataclass(frozen=True)
class BatchTime:
    """A timed batch.

    Attributes:
        calls: In it.
        events: Seconds between the events.
        wall: Seconds of the host, from an idle device to an idle device.
    """

    calls: int
    events: float
    wall: float

    @property
    def agrees(self) -> bool:
        """Whether nothing ran outside of the events, and they did not run ahead of the host."""
        return self.events <= self.wall <= self.events * (1 + _SHARE) + _OVERHEAD

    @property
    def seconds(self) -> float:
        """Of one call, by the slower clock."""
        return max(self.events, self.wall - _OVERHEAD) / self.calls


class CacheFlush:
    """Empties the second-level cache by writing to memory four times as large."""

    def __init__(self) -> None:
        import cupy  # noqa: PLC0415  (only where there is a GPU)

        size = int(cupy.cuda.Device().attributes["L2CacheSize"])
        self._memory = cupy.empty(4 * max(size, 1 << 20), "uint8")

    def __call__(self) -> None:
        """Enqueue the writes."""
        self._memory.data.memset_async(0, self._memory.nbytes)


def time_batch(call: Callable[[], None], calls: int, before: Callable[[], None]) -> BatchTime:
    """Time calls that enqueue work, one after another.

    All streams are synchronised before the first event and before the host's clock is read, so that
    work on another stream counts in `wall`.

    Args:
        call: Enqueues one call on the current stream.
        calls: How many.
        before: Enqueued before the first event, such as a `CacheFlush`.
    """
    import cupy  # noqa: PLC0415

    device = cupy.cuda.Device()
    start, stop = cupy.cuda.Event(), cupy.cuda.Event()
    before()
    device.synchronize()
    began = time.perf_counter()
    start.record()
    for _ in range(calls):
        call()
    stop.record()
    device.synchronize()
    wall = time.perf_counter() - began
    return BatchTime(calls, cupy.cuda.get_elapsed_time(start, stop) / 1e3, wall)


def calls_for(seconds: float, least: float = LEAST_SECONDS) -> int:
    """Calls of a batch that takes at least so long, if one call takes `seconds`."""
    return max(1, -int(-least // max(seconds, 1e-7)))


def median_time(times: list[BatchTime]) -> BatchTime | None:
    """The median of the batches on which the clocks agree, or None if they never do."""
    agreed: list[Any] = sorted((t for t in times if t.agrees), key=lambda t: t.seconds)
    return agreed[len(agreed) // 2] if agreed else None
