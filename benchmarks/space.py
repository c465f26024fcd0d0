"""How long it takes to construct search spaces, and how much memory; each in a fresh process.

Usage: python benchmarks/space.py

Writes `results/space.json`: wall time, and time on the one core that is used, which other work on
the machine does not lengthen. It includes parsing, joining and the table of points. The spaces
are of the sizes that tuners of GPU kernels meet: one of 2.65e7 combinations with the constraints of
a matrix product, one of 6.4e7 of which 1.2e7 are valid, one of 1e13 that can only be sampled.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from record import write

from outpace.model import Parameter, Scalar
from outpace.tuner.space import SearchSpace

REPEATS = 5
SAMPLED = 10_000

Declared = tuple[list[Parameter], list[str]]


def parameter(name: str, *values: Scalar) -> Parameter:
    return Parameter(name, values)


def matrix_product() -> Declared:
    """Work-group and thread tiles, vector widths, strides and staging of a tiled product."""
    tiles = [parameter(name, 16, 32, 64, 128) for name in ("MWG", "NWG")]
    threads = [parameter(name, 8, 16, 32) for name in ("MDIMC", "NDIMC", "MDIMA", "NDIMB")]
    widths = [parameter(name, 1, 2, 4, 8) for name in ("VWM", "VWN")]
    switches = [parameter(name, 0, 1) for name in ("STRM", "STRN", "SA", "SB")]
    rest = [parameter("KWG", 16, 32), parameter("KWI", 2, 8)]
    more = [parameter("UNROLL", 1, 2, 4, 8), parameter("BLOCKS", 1, 2, 3, 4, 5)]
    return [*tiles, *threads, *widths, *switches, *rest, *more], [
        "KWG % KWI == 0",
        "MWG % (MDIMC * VWM) == 0",
        "NWG % (NDIMC * VWN) == 0",
        "MWG % (MDIMA * VWM) == 0",
        "NWG % (NDIMB * VWN) == 0",
        "KWG % (MDIMC * NDIMC // MDIMA) == 0",
        "KWG % (MDIMC * NDIMC // NDIMB) == 0",
    ]


def many_valid() -> Declared:
    """Six parameters of 20 values, two constraints, a fifth of all combinations valid."""
    names = "abcde"
    values = tuple(range(1, 21))
    parameters = [*(Parameter(name, values) for name in names), Parameter("f", tuple(range(20)))]
    return parameters, ["a * b * c <= 400", "d + e <= 20 + f % 3"]


def one_wide_constraint() -> Declared:
    """The same parameters under one constraint that no table can hold."""
    return many_valid()[0], ["a * b + c * d + e * f <= 180"]


def sampled_only() -> Declared:
    """Thirteen parameters of ten values in a chain of constraints."""
    parameters = [Parameter(f"p{i}", tuple(range(10))) for i in range(13)]
    return parameters, [f"p{i} <= p{i + 1} + 4" for i in range(12)]


SPACES: dict[str, Callable[[], Declared]] = {
    function.__name__: function
    for function in (matrix_product, many_valid, one_wide_constraint, sampled_only)
}


def measure(name: str) -> dict[str, float | int | None]:
    """Construct a space in this process."""
    parameters, constraints = SPACES[name]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin, begin_cpu = time.perf_counter(), time.process_time()
    space = SearchSpace(parameters, constraints)
    points = space.points
    if points is None:
        space.sample(np.random.default_rng(0), SAMPLED)
    end, end_cpu = time.perf_counter(), time.process_time()
    return {
        "combinations": float(np.prod([float(len(p.values)) for p in parameters])),
        "valid": space.size,
        "seconds": end - begin,
        "cpu_seconds": end_cpu - begin_cpu,
        "megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
        return
    results = {}
    for name in SPACES:
        command = [sys.executable, __file__, name]
        runs = [
            json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            for _ in range(REPEATS)
        ]
        results[name] = {
            **{key: runs[0][key] for key in ("combinations", "valid")},
            **{key: [run[key] for run in runs] for key in ("seconds", "cpu_seconds")},
            "megabytes": max(run["megabytes"] for run in runs),
        }
        best = {key: min(results[name][key]) for key in ("seconds", "cpu_seconds")}
        times = f"{best['seconds']:.3f} s, {best['cpu_seconds']:.3f} s on its core"
        print(f"{name}: {times}, {results[name]['megabytes']:.0f} MB")
    print(write("space", {"spaces": results, "sampled": SAMPLED}))


if __name__ == "__main__":
    main()
