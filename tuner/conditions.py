"""Whether a machine is fit to time on: contention, steal and throttling while a pair is timed.

Nothing here can promote. A disturbed process pair must win by `CLEAR` instead of the rule's
threshold, so disturbance only ever makes promotions rarer.

Sources: `/proc/<pid>/task/*/schedstat` (nanoseconds on a core, nanoseconds runnable but waiting;
Linux, Documentation/scheduler/sched-stats.rst), `/proc/stat` (steal), cgroup v2 `cpu.stat`
(`nr_throttled`) and `thermal_throttle/core_throttle_count` of sysfs. One that is absent counts as
undisturbed: the sign rule holds without it.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from outpace.model import Conditions

CLEAR = 1.25
"""A disturbed process pair must show at least this ratio to count as a win."""
MOST_WAITING = 0.05
"""Share of its runnable time that the reference may have waited for a core."""
MOST_STOLEN = 0.05
"""Share of the allowed cores' time that a hypervisor may have given to others."""


@dataclass(frozen=True)
class _Reading:
    at: float
    ran: int
    waited: int
    stolen: float
    throttled: int


class Watch:
    """Observes one process, which must be the reference's: a draft could feign contention."""

    def __init__(self, pid: int) -> None:
        """Begin observing."""
        self._pid = pid
        self._cores = os.sched_getaffinity(0)
        self._first = self._read()

    def conditions(self) -> Conditions:
        """What happened since the beginning."""
        first, last = self._first, self._read()
        # A process that has ended has no times any more.
        ran, waited = max(0, last.ran - first.ran), max(0, last.waited - first.waited)
        available = (last.at - first.at) * len(self._cores)
        return Conditions(
            waited=waited / max(ran + waited, 1),
            stolen=(last.stolen - first.stolen) / max(available, 1e-9),
            throttled=last.throttled > first.throttled,
        )

    def _read(self) -> _Reading:
        ran, waited = _runtime(self._pid)
        throttled = _throttled_by_cgroup() + _throttled_by_heat(self._cores)
        return _Reading(time.monotonic(), ran, waited, _stolen(self._cores), throttled)


def disturbance(conditions: Conditions) -> str | None:
    """What disturbed a process pair, for a person; None if nothing did."""
    if conditions.throttled:
        return "the processor was throttled"
    if conditions.stolen > MOST_STOLEN:
        return f"the hypervisor gave {100 * conditions.stolen:.0f}% of the cores to others"
    if conditions.waited > MOST_WAITING:
        return f"the reference waited {100 * conditions.waited:.0f}% of its time for a core"
    return None


def _runtime(pid: int) -> tuple[int, int]:
    """Nanoseconds that all threads of a process ran, and waited while runnable."""
    ran = waited = 0
    with suppress(OSError):
        for task in os.scandir(f"/proc/{pid}/task"):
            with suppress(OSError, ValueError):
                fields = Path(task.path, "schedstat").read_text(encoding="ascii").split()
                ran, waited = ran + int(fields[0]), waited + int(fields[1])
    return ran, waited


def _stolen(cores: set[int]) -> float:
    """Seconds that a hypervisor took from these cores."""
    ticks = 0
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
            name, *fields = line.split()
            if name.startswith("cpu") and name[3:].isdecimal() and int(name[3:]) in cores:
                ticks += int(fields[7])
    return ticks / os.sysconf("SC_CLK_TCK")


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
