"""Tune programs for MPI ranks and table their speedups and parallel efficiencies.

Each program is tuned from scratch at its large workload, as `outpace tune --language mpi` does it,
and beside the reference it is timed against the best serial and the best threaded variant on the
same cores. Raw samples go to `results/mpi.json` after each program, so that a run that was stopped
goes on with `--missing`; the table goes to `docs/mpi.md`. On two quiet cores a program takes 5 to
15 minutes, most of it for the baselines and for confirmation. Promotions go to a scratch folder.

    python benchmarks/mpi.py [NAME ...] [--ranks 2] [--missing] [--drafts 12] [--write-docs]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import record
from programs import PROGRAMS

from outpace.codegen.reference import Reference
from outpace.kernels.library import linalg
from outpace.model import Speedup, Status
from outpace.tuner.campaign import Budget
from outpace.tuner.events import Message
from outpace.tuner.mpi.measured import RankTimes
from outpace.tuner.mpi.tuning import PROGRAMS as TRIED
from outpace.tuner.mpi.tuning import Options, tune_on_ranks

NAMES = ("hdiff", "heat_3d", "jacobi_2d", "nbody", "matmul", "fft2")
WORKLOAD = "large"
DOCS = Path(__file__).parents[1] / "docs" / "mpi.md"


def main() -> None:
    """Tune what was asked for; programs that were not keep their earlier rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="for example heat_3d")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--missing", action="store_true", help="only what has no result yet")
    parser.add_argument("--drafts", type=int, default=TRIED, help="programs tried for each")
    parser.add_argument("--write-docs", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.write_docs:
        rows = known("mpi")
        for name in options.names or NAMES:
            if options.missing and name in rows:
                continue
            rows[name] = tuned(name, options.ranks, options.drafts)
            record.write("mpi", {"programs": {n: rows[n] for n in NAMES if n in rows}})
    write_docs()


class Told:
    """Prints the sentences of a campaign."""

    def notice(self, event: object) -> None:
        """Print what is for a person."""
        if isinstance(event, Message):
            print(f"  {event.text}", flush=True)


def tuned(name: str, ranks: int, drafts: int) -> dict[str, Any]:
    """One program tuned from scratch; every confirmation with its samples."""
    print(name, flush=True)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        options = Options(
            workloads=(WORKLOAD,),
            budget=Budget(drafts=drafts),
            fresh=True,
            promoted=Path(scratch),
            observer=Told(),
        )
        result = tune_on_ranks(referenced(name), (ranks,), options)
    seconds = time.monotonic() - begin
    print(f"{result!r} in {seconds:.0f} s", flush=True)
    return {
        "environment": record.environment(),
        "seconds": seconds,
        "ranks": ranks,
        "sizes": referenced(name).contract.workload(WORKLOAD).sizes,
        "confirmations": [confirmed(times) for times in result.measured],
        "trials": [
            {"label": t.label, "status": t.status.value, "stage": t.stage, "reason": t.reason[:200]}
            for t in result.trials
            if t.status is not Status.FASTER
        ],
        "notes": list(result.notes),
    }


def referenced(name: str) -> Reference:
    """A program by name; two of them are in the library alone."""
    alone: dict[str, Reference] = {
        "matmul": linalg.matmul.reference,
        "fft2": linalg.fft2.reference,
    }
    return alone.get(name) or PROGRAMS[name]


def confirmed(times: RankTimes) -> dict[str, Any]:
    """What one confirmation measured, with its samples."""
    return {
        "label": times.label,
        "status": times.status.value,
        "over_reference": _plain(times.over_reference),
        "over_serial": _plain(times.over_serial),
        "over_threaded": _plain(times.over_threaded),
        "efficiency": times.efficiency,
        "threaded_efficiency": times.threaded_efficiency,
        "samples": msgspec.to_builtins(times.samples),
    }


def write_docs() -> None:
    """One row a program: the promoted one, else the fastest that was confirmed."""
    rows = [
        (
            "| program | ranks | plan | over NumPy [95% interval] | over best serial | "
            "over best threaded | efficiency | of threads |  |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in record.read("mpi")["programs"].items():
        rows.append(_row(name, row))
    record.replace_block(DOCS, "mpi", "\n".join(rows))


def _row(name: str, row: dict[str, Any]) -> str:
    best = best_of(row)
    if best is None:
        status = row["trials"][-1]["status"] if row["trials"] else "nothing drafted"
        return f"| `{name}` | {row['ranks']} | | | | | | | {status} |"
    over = best["over_reference"]
    told = "promoted" if best["status"] == Status.FASTER else best["status"]
    return (
        f"| `{name}` | {row['ranks']} | {best['label']} "
        f"| {over['median']:.2f}x [{over['low']:.2f}, {over['high']:.2f}] "
        f"| {_times(best['over_serial'])} | {_times(best['over_threaded'])} "
        f"| {_share(best['efficiency'])} | {_share(best['threaded_efficiency'])} | {told} |"
    )


def best_of(row: dict[str, Any]) -> dict[str, Any] | None:
    """What was confirmed of a program's best plan; None where nothing was."""
    return max(
        row["confirmations"],
        key=lambda one: (one["status"] == Status.FASTER, one["over_reference"]["median"]),
        default=None,
    )


def _plain(speedup: Speedup | None) -> dict[str, float] | None:
    if speedup is None:
        return None
    return {"median": speedup.median, "low": speedup.low, "high": speedup.high}


def _times(speedup: dict[str, float] | None) -> str:
    return "" if speedup is None else f"{speedup['median']:.2f}x"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def known(name: str) -> dict[str, Any]:
    """What a result file holds of each program; nothing where there is no file yet."""
    try:
        return record.read(name)["programs"]  # type: ignore[no-any-return]
    except FileNotFoundError:
        return {}


if __name__ == "__main__":
    main()
