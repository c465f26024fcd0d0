"""Tune every function of the reference library and table what was promoted.

Writes `results/library.json` (raw samples of every confirmation) and the README's table. Promotions
go to a scratch folder; nothing in the repository is touched but these two files.

    python benchmarks/library.py [NAME ...] [--write-readme]
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import record

from outpace.model import Status
from outpace.tuner import api

FUNCTIONS = (
    "climate:hdiff",
    "climate:heat_3d",
    "genomics:smith_waterman",
    "aerospace:cavity_flow",
    "aerospace:jacobi_2d",
    "medical:backproject",
    "quantum:apply_gate",
    "astro:nbody",
    "linalg:softmax",
    "linalg:conv2d",
)


def main() -> None:
    """Tune what was asked for; functions that were not keep their earlier rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="for example climate:hdiff")
    parser.add_argument("--write-readme", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.write_readme:
        rows = _known()
        for name in options.names or FUNCTIONS:
            rows[name] = tune(name)
            record.write("library", {"functions": {n: rows[n] for n in FUNCTIONS if n in rows}})
    write_readme()


def _known() -> dict[str, Any]:
    try:
        return record.read("library")["functions"]  # type: ignore[no-any-return]
    except FileNotFoundError:
        return {}


def tune(name: str, **options: Any) -> dict[str, Any]:
    """One campaign from scratch, with options of `api.tune`; every promotion with its evidence."""
    module, _, function = name.partition(":")
    fn = getattr(importlib.import_module(f"outpace.kernels.library.{module}"), function)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        result = api.tune(fn, fresh=True, promoted=Path(scratch), **options)
        promotions = [
            msgspec.json.decode(path.read_bytes())["value"]
            for path in sorted(Path(scratch).rglob("promotion.json"))
        ]
    seconds = time.monotonic() - begin
    print(f"{name}: {len(promotions)} promotions in {seconds:.0f} s", flush=True)
    return {
        "environment": record.environment(),
        "seconds": seconds,
        "workloads": {w.name: w.sizes for w in fn.reference.contract.workloads},
        "promotions": [
            {
                "drafter": promotion["variant"]["draft"]["provenance"]["drafter"],
                "model": promotion["variant"]["draft"]["provenance"]["model"],
                "idea": promotion["variant"]["draft"]["provenance"]["idea"],
                "language": promotion["variant"]["draft"]["language"],
                "params": promotion["variant"]["params"],
                "grade": promotion["grade"],
                "evidence": promotion["evidence"],
            }
            for promotion in promotions
        ],
        "trials": [
            {
                "label": trial.label,
                "workload": trial.workload,
                "status": trial.status.value,
                "stage": trial.stage,
                "reason": trial.reason.replace(str(Path.home()), "~")[:200],
            }
            for trial in result.trials
            if trial.status is not Status.FASTER
        ],
        "notes": list(result.notes),
    }


def write_readme() -> None:
    """One row a workload."""
    rows = [
        "| function | workload | promoted | over NumPy [95% interval] | over plain Numba |",
        "|---|---|---|---|---|",
    ]
    for name, row in record.read("library")["functions"].items():
        by_workload = {
            e["workload"]["name"]: (p, e) for p in row["promotions"] for e in p["evidence"]
        }
        rows += [_row(name, workload, by_workload.get(workload)) for workload in row["workloads"]]
    record.replace_block(Path(__file__).parents[1] / "README.md", "library", "\n".join(rows))


def _row(name: str, workload: str, found: tuple[dict[str, Any], dict[str, Any]] | None) -> str:
    module, _, function = name.partition(":")
    if found is None:
        return f"| `{module}.{function}` | {workload} | nothing | | |"
    promotion, evidence = found
    speedup = evidence["speedup"]
    numba = evidence["over_numba"]
    return (
        f"| `{module}.{function}` | {workload} | {promotion['language']}: {promotion['idea']} "
        f"| {speedup['median']:.2f}x [{speedup['low']:.2f}, {speedup['high']:.2f}] "
        f"| {'does not compile' if numba is None else f'{numba:.2f}x'} |"
    )


if __name__ == "__main__":
    main()
