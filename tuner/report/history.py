"""Series over stored runs: of tunes and checks in journals, and of pytest-benchmark's files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from outpace.errors import StorageError, UsageError
from outpace.model import Trial
from outpace.tuner.report.changes import Change, change_points

if TYPE_CHECKING:
    from outpace.tuner.report.data import Run


class Quantity(StrEnum):
    """What the values of a series are."""

    REFERENCE = "seconds of the reference"
    SPEEDUP = "best confirmed speedup"
    BENCHMARK = "median seconds"


@dataclass(frozen=True)
class Point:
    """One run.

    Attributes:
        time: When it was made: UTC, ISO 8601.
        value: Seconds of one call, or a speedup.
        what: Version or commit that was measured; empty where unknown.
    """

    time: str
    value: float
    what: str


@dataclass(frozen=True)
class Series:
    """One quantity over several runs on one machine, and where it changed.

    Attributes:
        name: Of the workload or the benchmark.
        machine: Key of the target, or what pytest-benchmark calls the machine.
        quantity: What was measured.
        points: In order of time.
        changes: Where the level changed; empty where there are too few points to tell.
    """

    name: str
    machine: str
    quantity: Quantity
    points: tuple[Point, ...]
    changes: tuple[Change, ...]


class _Cpu(msgspec.Struct):
    brand_raw: str = ""


class _MachineInfo(msgspec.Struct):
    node: str = ""
    cpu: _Cpu = msgspec.field(default_factory=_Cpu)


class _CommitInfo(msgspec.Struct):
    id: str | None = None


class _Stats(msgspec.Struct):
    median: float


class _Benchmark(msgspec.Struct):
    fullname: str
    stats: _Stats


class _BenchmarkFile(msgspec.Struct):
    """What is read of a file that `pytest --benchmark-json` or `--benchmark-save` wrote."""

    datetime: str
    benchmarks: list[_Benchmark]
    machine_info: _MachineInfo = msgspec.field(default_factory=_MachineInfo)
    commit_info: _CommitInfo = msgspec.field(default_factory=_CommitInfo)


def series_of_runs(runs: Iterable[Run]) -> tuple[Series, ...]:
    """One series for each target, workload and quantity that at least two runs confirmed."""
    found: dict[tuple[str, str, Quantity], list[Point]] = {}
    for run in runs:
        for workload, quantity, value in _confirmed(run):
            points = found.setdefault((run.started.target, workload, quantity), [])
            points.append(Point(run.started.time, value, run.started.version))
    return _series(found)


def series_of_files(paths: Sequence[Path]) -> tuple[Series, ...]:
    """One series for each benchmark and machine in JSON files of pytest-benchmark.

    Raises:
        UsageError: A file is something else.
        StorageError: A file cannot be read.
    """
    found: dict[tuple[str, str, Quantity], list[Point]] = {}
    for path in paths:
        stored = _read(path)
        machine = " ".join(filter(None, (stored.machine_info.node, _brand(stored))))
        commit = (stored.commit_info.id or "")[:12]
        for one in stored.benchmarks:
            if _is_measured(one.stats.median):
                points = found.setdefault((machine, one.fullname, Quantity.BENCHMARK), [])
                points.append(Point(stored.datetime, one.stats.median, commit))
    return _series(found)


def _confirmed(run: Run) -> list[tuple[str, Quantity, float]]:
    """What the confirmations of a run measured: they alone are made alike in every run."""
    by_workload: dict[str, list[Trial]] = {}
    for record in run.trials:
        trial = record.trial
        if trial.stage == "confirm" and trial.baseline == "reference":
            by_workload.setdefault(trial.workload, []).append(trial)
    measured = []
    for workload, trials in by_workload.items():
        pairs = [pair.baseline for trial in trials for pair in trial.samples if pair.baseline]
        speedups = [trial.speedup.median for trial in trials if trial.speedup is not None]
        if pairs:
            seconds = median(median(pair) for pair in pairs)
            measured.append((workload, Quantity.REFERENCE, seconds))
        if speedups:
            measured.append((workload, Quantity.SPEEDUP, max(speedups)))
    return [one for one in measured if _is_measured(one[2])]


def _series(found: dict[tuple[str, str, Quantity], list[Point]]) -> tuple[Series, ...]:
    series = []
    for (machine, name, quantity), unordered in sorted(found.items()):
        if len(unordered) > 1:
            points = tuple(sorted(unordered, key=lambda point: point.time))
            changes = change_points([point.value for point in points])
            series.append(Series(name, machine, quantity, points, changes))
    return tuple(series)


def _read(path: Path) -> _BenchmarkFile:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_BenchmarkFile)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is no JSON of pytest-benchmark: {error}; write one with "
            "`pytest --benchmark-json FILE`"
        ) from error


def _is_measured(value: float) -> bool:
    """A clock that is too coarse gives zeros."""
    return math.isfinite(value) and value > 0


def _brand(stored: _BenchmarkFile) -> str:
    return stored.machine_info.cpu.brand_raw
