"""Recorded search spaces: the cache files of Kernel Tuner, read and written, gzipped or not.

A cache file (schema 1.1.0 of Kernel Tuner and what was written before it) holds `tune_params`, the
values of each parameter, and under `cache` one entry for each configuration that was tried: its
parameters, its `time` in milliseconds or the name of an error, and what trying it took, in
milliseconds. Constraints are not recorded: the valid points are those that have an entry.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from outpace.errors import StorageError, UsageError
from outpace.model import Parameter, Scalar
from outpace.tuner.space import Array, SearchSpace

SCHEMA_VERSION = "1.1.0"
COSTS = ("compile_time", "verification_time", "benchmark_time")
"""Milliseconds that trying a configuration took, choosing it aside."""
ERRORS = ("InvalidConfig", "CompilationFailedConfig", "RuntimeFailedConfig")
"""How Kernel Tuner names the ways to fail: constraints, the compiler, the run or its result."""


@dataclass(frozen=True, eq=False)
class RecordedSpace:
    """A search space of which every point was tried once.

    Attributes:
        kernel: Name of what was tuned.
        device: Where it was measured.
        problem_size: Its size along each axis.
        space: Its points.
        seconds: Time of each point in the order of `space.points`, (size,) float64; NaN where it
            failed.
        errors: Why, by row, for the points that failed: one of `ERRORS`.
        cost_seconds: What trying each point took, compilation included, (size,) float64.
    """

    kernel: str
    device: str
    problem_size: tuple[int, ...]
    space: SearchSpace
    seconds: Array
    errors: Mapping[int, str]
    cost_seconds: Array

    @cached_property
    def optimum(self) -> float:
        """Smallest time of any point, seconds."""
        return float(np.nanmin(self.seconds))


def read_space(path: Path) -> RecordedSpace:
    """Read a cache file of Kernel Tuner, one that was left open by an interrupted run included.

    Raises:
        UsageError: It does not exist, is no such file, or no configuration in it has a time.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
        recorded = _recorded(_closed(text))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except KeyError as error:
        raise UsageError(f"{path} is no cache file of Kernel Tuner: it has no {error}") from error
    except (EOFError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no cache file of Kernel Tuner: {error}") from error
    if len(recorded.errors) == recorded.space.size:
        raise UsageError(f"no configuration in {path} has a time")
    return recorded


def write_space(path: Path, recorded: RecordedSpace) -> None:
    """Write a cache file that Kernel Tuner reads; gzipped if its name ends in `.gz`.

    Raises:
        StorageError: The file cannot be written.
    """
    body = json.dumps(_content(recorded), indent=0).encode()
    try:
        path.write_bytes(gzip.compress(body, mtime=0) if path.suffix == ".gz" else body)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def _closed(text: str) -> Any:
    """The content of a cache file; while it is written, its last two braces are missing."""
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(text.rstrip().removesuffix(",") + "}}")


def _recorded(content: dict[str, Any]) -> RecordedSpace:
    names = content["tune_params_keys"]
    parameters = [Parameter(name, _values(content["tune_params"][name])) for name in names]
    entries = list(content["cache"].values())
    space = SearchSpace(parameters, points=_points(parameters, entries))
    seconds = np.full(len(entries), np.nan)
    cost = np.zeros(len(entries))
    errors = {}
    for row, entry in zip(space.rows_of(_points(parameters, entries)), entries, strict=True):
        error = _error_of(entry)
        if error is None:
            seconds[row] = _seconds(entry["time"])
        else:
            errors[int(row)] = error
        cost[row] = sum(entry.get(name, 0.0) for name in COSTS) / 1e3
    if len(entries) != space.size:
        raise ValueError("it has two entries for one configuration")
    size = content["problem_size"]
    return RecordedSpace(
        content["kernel_name"],
        content["device_name"],
        tuple(size) if isinstance(size, list) else (size,) if isinstance(size, int) else (),
        space,
        seconds,
        errors,
        cost,
    )


def _values(listed: Sequence[Any]) -> tuple[Scalar, ...]:
    for value in listed:
        if not isinstance(value, Scalar):
            raise TypeError(f"{value!r} is neither number, boolean nor string")
    return tuple(listed)


def _points(parameters: Sequence[Parameter], entries: Sequence[Mapping[str, Any]]) -> Array:
    places = [{value: i for i, value in enumerate(p.values)} for p in parameters]
    indices = [
        [place[entry[p.name]] for place, p in zip(places, parameters, strict=True)]
        for entry in entries
    ]
    return np.array(indices, dtype=np.int64).reshape(len(entries), len(parameters))


def _seconds(milliseconds: float) -> float:
    if not 0 < milliseconds < np.inf:
        raise ValueError(f"{milliseconds} is no time in milliseconds")
    return milliseconds / 1e3


def _error_of(entry: Mapping[str, Any]) -> str | None:
    """The name of the error of an entry; older files have it in the place of the time."""
    error = entry.get("__error__", entry["time"])
    return error if isinstance(error, str) else None


def _content(recorded: RecordedSpace) -> dict[str, Any]:
    space = recorded.space
    assert space.points is not None
    entries = {}
    for row, point in enumerate(space.points.tolist()):
        params = space.bind(tuple(point))
        error = recorded.errors.get(row)
        entries[",".join(map(str, params.values()))] = {
            **params,
            "time": 1e3 * float(recorded.seconds[row]) if error is None else error,
            **({"__error__": error} if error is not None else {}),
            "compile_time": 0.0,
            "verification_time": 0.0,
            "benchmark_time": 1e3 * float(recorded.cost_seconds[row]),
            "strategy_time": 0.0,
            "framework_time": 0.0,
            "timestamp": datetime.now(UTC).isoformat(),
        }
    return {
        "schema_version": SCHEMA_VERSION,
        "device_name": recorded.device,
        "kernel_name": recorded.kernel,
        "problem_size": list(recorded.problem_size),
        "tune_params_keys": [p.name for p in space.parameters],
        "tune_params": {p.name: list(p.values) for p in space.parameters},
        "objective": "time",
        "cache": entries,
    }
