"""Whether a machine is fit to time on: contention, steal and throttling while a pair is timed.

Nothing here can promote. A disturbed process pair must win by `CLEAR` instead of the rule's
threshold, and one on an overrun machine cannot win: disturbance only makes promotions rarer.

Sources: `/proc/stat` and `/proc/<pid>/stat` (processor time in ticks; proc(5)), cgroup v2
`cpu.stat` (`nr_throttled`) and `thermal_throttle/core_throttle_count` of sysfs. One that is absent
counts as undisturbed: the sign rule holds without it. How long a process was runnable without a
core would say the same more directly, but is a fifth of its time even on an idle machine, where a
process that is woken for each millisecond of work waits until its waker sleeps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

from outpace.model import Conditions

CLEAR = 1.25
"""A disturbed process pair must show at least this ratio to count as a win."""
MOST_USED = 0.10
"""Share of the allowed cores' time that other processes may use, unless more than that is idle."""
OVERRUN = 0.25
"""Share of the allowed cores' time that other processes may use, unless more than that is idle, for
ratios to mean anything. Threads that wait for each other wait for the others too: beside two busy
processes on two cores, a kernel on one thread was promoted over a BLAS call that alone is
faster."""
MOST_STOLEN = 0.05
"""Share of the allowed cores' time that a hypervisor may have given to others."""


@dataclass(frozen=True)
class _Reading:
    """Seconds, except for the count of throttled periods."""

    at: float
    busy: float
    stolen: float
    own: float
    throttled: int


class Watch:
    """Observes the machine while some processes are timed on it.

    Processor time is told in hundredths of a second, so that it should last for a second or so.
    """

    def __init__(self, pids: Sequence[int] = ()) -> None:
        """Begin observing.

        Args:
            pids: Processes that belong to the measurement, besides this one.
        """
        self._pids = (os.getpid(), *pids)
        self._cores = os.sched_getaffinity(0)
        self._first = self._read()

    def include(self, pids: Sequence[int]) -> None:
        """Count processes that have started since as part of the measurement."""
        self._pids += tuple(pids)

    def conditions(self) -> Conditions:
        """What happened since the beginning."""
        first, last = self._first, self._read()
        available = max((last.at - first.at) * len(self._cores), 1e-9)
        busy, own = last.busy - first.busy, max(0.0, last.own - first.own)
        return Conditions(
            others=max(0.0, busy - own) / available,
            idle=max(0.0, available - busy) / available,
            stolen=max(0.0, last.stolen - first.stolen) / available,
            throttled=last.throttled > first.throttled,
        )

    def _read(self) -> _Reading:
        throttled = _throttled_by_cgroup() + _throttled_by_heat(self._cores)
        busy, stolen = _used(self._cores)
        own = sum(map(_used_by, self._pids))
        return _Reading(time.monotonic(), busy, stolen, own, throttled)


def disturbance(conditions: Conditions) -> str | None:
    """What disturbed a process pair, for a person; None if nothing did."""
    if conditions.throttled:
        return "the processor was throttled"
    if conditions.stolen > MOST_STOLEN:
        return f"the hypervisor gave {100 * conditions.stolen:.0f}% of the cores to others"
    if conditions.others > max(MOST_USED, conditions.idle):
        return (
            f"other processes used {100 * conditions.others:.0f}% of the cores and "
            f"{100 * conditions.idle:.0f}% were idle"
        )
    return None


def least_ratio(conditions: Conditions, threshold: float) -> float:
    """What the ratio of a process pair must exceed to be a win; `threshold` if undisturbed."""
    if conditions.others > max(OVERRUN, conditions.idle):
        return inf
    return threshold if disturbance(conditions) is None else CLEAR


def _used(cores: set[int]) -> tuple[float, float]:
    """Seconds that these cores were busy, and that a hypervisor took from them."""
    busy = stolen = 0
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
            name, *fields = line.split()
            if name.startswith("cpu") and name[3:].isdecimal() and int(name[3:]) in cores:
                user, nice, system, _idle, _waiting, interrupts, soft, steal = map(int, fields[:8])
                busy += user + nice + system + interrupts + soft + steal
                stolen += steal
    ticks = os.sysconf("SC_CLK_TCK")
    return busy / ticks, stolen / ticks


def _used_by(pid: int) -> float:
    """Seconds that all threads of a process have run; 0 once it has ended."""
    with suppress(OSError, ValueError, IndexError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _throttled_by_cgroup() -> int:
    """Periods in which the process's own control group had used up its share of the cores."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
            if line.startswith("0::"):
                stat = Path("/sys/fs/cgroup", line[3:].lstrip("/"), "cpu.stat")
                for entry in stat.read_text(encoding="ascii").splitlines():
                    if entry.startswith("nr_throttled "):
                        return int(entry.split()[1])
    return 0


def _throttled_by_heat(cores: set[int]) -> int:
    """How often these cores were slowed down because of their temperature."""
    count = 0
    for core in cores:
        with suppress(OSError, ValueError):
            folder = Path(f"/sys/devices/system/cpu/cpu{core}/thermal_throttle")
            count += int((folder / "core_throttle_count").read_text(encoding="ascii"))
    return count
