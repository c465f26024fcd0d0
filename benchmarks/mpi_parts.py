"""Where the time of a stencil on ranks goes: messages and copies, ranks as such, the clock.

Timed as the judge times, interleaved in one process each: the best threaded variant, the program of
the best plan in `results/mpi.json`, else of the most promising one, the kernel on every own block
without any message (what it gives is wrong at the edges), in one call and in one call for as many
steps as lie between exchanges, and a program that does nothing. Raw samples go to
`results/mpi-parts.json`, the table to `docs/mpi.md`. A program takes about two minutes.

    python benchmarks/mpi_parts.py [NAME ...] [--ranks 2] [--write-docs]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
import record
from mpi import DOCS, WORKLOAD, Told, best_of, known, referenced

from outpace.codegen.mpi.drafts import mpi_drafts
from outpace.codegen.mpi.local import kernel_of
from outpace.codegen.reference import Reference
from outpace.kernels.languages.mpi import MPI
from outpace.model import Grade, Variant
from outpace.tuner.api import open_campaign
from outpace.tuner.contenders import Against, Contender
from outpace.tuner.interleaving import run_interleaved
from outpace.tuner.mpi.baselines import DRAFTER, EXPLORED, find_baselines
from outpace.tuner.mpi.building import build_kernel
from outpace.tuner.mpi.promising import machine_of, promising
from outpace.tuner.mpi.timed import RankContender
from outpace.tuner.plan import Plan, draw_call

NAMES = ("hdiff", "heat_3d", "jacobi_2d")
"""Programs whose own blocks are problems by themselves."""
ROUNDS = 25
THREADS, PROGRAM, BLOCKS = "threads", "program", "blocks alone"
ROUNDS_OF_BLOCKS, NOTHING = "blocks, call by call", "nothing"
PARTS = (THREADS, PROGRAM, ROUNDS_OF_BLOCKS, BLOCKS, NOTHING)


@dataclass(frozen=True)
class Parts:
    """What is timed beside each other.

    Attributes:
        plan: The workload.
        contenders: By name.
        label: Of the program.
    """

    plan: Plan
    contenders: dict[str, Contender]
    label: str


def main() -> None:
    """Time what was asked for; programs that were not keep their earlier rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", choices=(*NAMES, []))
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--write-docs", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.write_docs:
        for name in options.names or NAMES:
            rows = known("mpi-parts")
            rows[name] = timed(referenced(name), options.ranks)
            record.write("mpi-parts", {"programs": {n: rows[n] for n in NAMES if n in rows}})
    write_docs()


def timed(reference: Reference, ranks: int) -> dict[str, Any]:
    """Samples of every part of one program, in seconds of one call."""
    print(reference.name, flush=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        open_campaign(
            reference,
            DRAFTER,
            languages=(),
            workloads=(WORKLOAD,),
            budget=EXPLORED,
            fresh=True,
            promoted=Path(scratch),
            observer=Told(),
        ) as base,
    ):
        base.prepare()
        baselines = find_baselines(base)
        assert baselines.serial is not None
        threaded = baselines.at[WORKLOAD][Against.THREADED]
        (plan,) = base.plans
        parts = _parts(reference, baselines.serial, threaded, plan, ranks, Path(scratch))
        samples = _samples(reference, parts)
    return {
        "environment": record.environment(),
        "ranks": ranks,
        "sizes": parts.plan.workload.sizes,
        "program": parts.label,
        "samples": samples,
    }


def _parts(
    reference: Reference,
    serial: Variant,
    threaded: Contender,
    plan: Plan,
    ranks: int,
    folder: Path,
) -> Parts:
    sizes, kernel = plan.workload.sizes, kernel_of(serial, reference)
    machine = machine_of(reference, sizes, threaded.seconds[WORKLOAD])
    drafts = mpi_drafts(reference, kernel, ranks)
    program = _best(reference.name, promising(reference, drafts, ranks, sizes, machine))
    constants = "".join(f"{name} = {value!r}\n" for name, value in program.params.items())
    sources = {
        PROGRAM: program.draft.source,
        BLOCKS: f"{kernel}\n\n{constants}\n\ndef run(comm, *given):\n    kernel(*given)\n",
        NOTHING: f"{constants}\n\ndef run(comm, *given):\n    pass\n",
    }
    if "DEPTH" in program.params:
        sources[ROUNDS_OF_BLOCKS] = f"{kernel}\n\n{constants}\n\n{_call_by_call(reference)}"
    contenders: dict[str, Contender] = {THREADS: threaded}
    for name, source in sources.items():
        draft = msgspec.structs.replace(program.draft, source=source)
        variant = Variant(draft, program.params)
        home = folder / name.replace(" ", "-")
        (home / "build").mkdir(parents=True)
        (home / "draft.py").write_text(MPI.bind(variant))
        build_kernel(reference.contract, home, variant, Grade.D)
        contenders[name] = RankContender(variant, home, {}, ranks)
    return Parts(plan, contenders, program.label)


def _best(name: str, variants: Sequence[Variant]) -> Variant:
    """The variant whose times are in the table of `mpi.py`, else the most promising one."""
    row = known("mpi").get(name)
    best = None if row is None else best_of(row)
    label = None if best is None else best["label"]
    return next((one for one in variants if one.label == label), variants[0])


def _call_by_call(reference: Reference) -> str:
    """A program that calls the kernel as often as if messages were exchanged."""
    contract = reference.contract
    names = [part.name for part in contract.parts]
    given = [f"min(DEPTH, {n} - done)" if n == contract.steps else n for n in names]
    return (
        f"def run(comm, {', '.join(names)}):\n"
        f"    for done in range(0, {contract.steps}, DEPTH):\n"
        f"        kernel({', '.join(given)})\n"
    )


def _samples(reference: Reference, parts: Parts) -> dict[str, list[float]]:
    """Seconds of a call in every round but the first, which warms caches up."""
    rng = np.random.default_rng()
    batches = [(1, parts.plan.workload.sizes)]
    rows: list[Sequence[float]] = []
    with ExitStack() as stack:
        running = [
            stack.enter_context(one.start(reference.contract, batches))
            for one in parts.contenders.values()
        ]
        for _ in range(ROUNDS + 1):
            calls = [draw_call(reference, parts.plan.workload, rng)]
            rows.append(run_interleaved(running, calls, 60.0, rng, returning=0)[0])
    return dict(zip(parts.contenders, map(list, zip(*rows[1:], strict=True)), strict=True))


def write_docs() -> None:
    """Medians in milliseconds."""
    rows = [f"| program | plan | {' | '.join(PARTS)} |", f"|{'---|' * (2 + len(PARTS))}"]
    for name, row in known("mpi-parts").items():
        samples = row["samples"]
        times = [f"{1e3 * median(samples[p]):.2f} ms" if p in samples else "" for p in PARTS]
        rows.append(f"| `{name}` | {row['program']} | {' | '.join(times)} |")
    record.replace_block(DOCS, "mpi-parts", "\n".join(rows))


if __name__ == "__main__":
    main()
