"""Kernels on threads, timed with and without what the judge does for them.

The judge keeps all cores awake, keeps the threads of pools off one of them, and lets threads of
OpenMP spin only briefly while they wait (`outpace.tuner.placement`,
`outpace.kernels.languages.openmp`). Here drafts of the built-in drafter in C are timed with and
without, interleaved, into `results/threads.json`.

    python benchmarks/threads.py [--rounds 60] [--processes 3] [--write-docs]
"""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import record
from programs import PROGRAMS

from outpace.codegen.drafters.base import DraftingTask
from outpace.codegen.drafters.builtin import BuiltinDrafter
from outpace.codegen.reference import Reference
from outpace.kernels.languages.openmp import SPINS
from outpace.kernels.target import current_target
from outpace.model import Variant, Workload
from outpace.tuner.evaluate import Evaluation, build_and_check
from outpace.tuner.interleaving import run_interleaved
from outpace.tuner.numerics.selfcheck import check_reference
from outpace.tuner.plan import draw_call
from outpace.tuner.process import Worker, capacity_for

KERNELS = ("hdiff", "jacobi_2d", "floyd_warshall")
BATCHES = (1, 8)
RUNTIME_SPINS = 300_000
"""What libgomp does where nothing is said."""
WAYS = {
    "as the judge does": (True, True, True),
    "cores asleep": (True, True, False),
    "not placed": (False, True, True),
    "spinning": (True, False, True),
    "nothing done": (False, False, False),
}
"""Whether threads are placed, whether they spin briefly, and whether cores are kept awake."""
ASLEEP = 0.02
"""Seconds in which cores fall asleep that are not kept awake."""
LIMIT = 60.0


def main() -> None:
    """Measure, or only rewrite the document from the committed result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args()
    if not options.write_docs:
        found = {name: measured(name, options.rounds, options.processes) for name in KERNELS}
        record.write("threads", {"kernels": found})
    write_docs()


class TreatedWorker(Worker):
    """A process that is treated in one of the ways."""

    is_placed = is_awake = True

    def run(self, limit: float) -> float:
        """As of a worker."""
        if not self.is_awake:
            time.sleep(ASLEEP)
        if self.is_placed:
            return super().run(limit)
        anywhere = nullcontext(lambda: None)
        with mock.patch("outpace.tuner.process.spread", return_value=anywhere):
            return super().run(limit)


def measured(name: str, rounds: int, processes: int) -> dict[str, dict[str, list[list[float]]]]:
    """Seconds of a call: by batch, then by way, one list for each process."""
    reference = PROGRAMS[name]
    workload = reference.contract.workload("small")
    evaluation = built(reference)
    samples: dict[str, dict[str, list[list[float]]]] = {
        str(batch): {way: [] for way in WAYS} for batch in BATCHES
    }
    for _ in range(processes):
        with ExitStack() as stack:
            workers = [
                stack.enter_context(started(way, reference, workload, evaluation)) for way in WAYS
            ]
            for batch in BATCHES:
                rows = timed(reference, workload, workers, batch, rounds)
                for way, times in zip(WAYS, zip(*rows, strict=True), strict=True):
                    samples[str(batch)][way].append([float(f"{t:.4g}") for t in times])
    return samples


def built(reference: Reference) -> Evaluation:
    """The first draft in C, with its first parameters."""
    task = DraftingTask(reference, current_target(), ("c",))
    draft = BuiltinDrafter().propose(task).drafts[0]
    variant = Variant(draft, {p.name: p.values[0] for p in draft.parameters})
    checked = check_reference(reference, secrets.randbits(62))
    found = build_and_check(reference, checked, variant)
    if not isinstance(found, Evaluation):
        raise SystemExit(f"{reference.name}: {found.reason}")
    return found


def started(way: str, reference: Reference, workload: Workload, evaluation: Evaluation) -> Worker:
    """A process whose threads are treated in this way."""
    is_placed, is_brief, is_awake = WAYS[way]
    contract = reference.contract
    capacity = capacity_for(contract, [(max(BATCHES), workload.sizes)])
    spins = SPINS if is_brief else RUNTIME_SPINS
    with mock.patch("outpace.tuner.isolation.launch.SPINS", spins):
        worker = TreatedWorker(
            contract, evaluation.contender.folder, capacity, variant=evaluation.variant
        )
    worker.is_placed, worker.is_awake = is_placed, is_awake
    return worker


def timed(
    reference: Reference, workload: Workload, workers: Sequence[Worker], batch: int, rounds: int
) -> list[list[float]]:
    """Seconds of a call of each, after three rounds to warm up."""
    rng = np.random.default_rng()
    rows = []
    for _ in range(3 + rounds):
        calls = [draw_call(reference, workload, rng) for _ in range(batch)]
        seconds, _ = run_interleaved(workers, calls, LIMIT, rng, returning=0)
        rows.append(seconds)
    return rows[3:]


def write_docs() -> None:
    """Put the times into the page on judging."""
    kernels = record.read("threads")["kernels"]
    rows = [
        "| kernel, calls in a request | way | fastest, ms | median, ms | 90%, ms |",
        "|---|---|---|---|---|",
    ]
    for name, batches in kernels.items():
        for batch, ways in batches.items():
            for way, processes in ways.items():
                times = 1e3 * np.concatenate(processes)
                low, middle, high = np.percentile(times, [0, 50, 90])
                rows.append(f"| {name}, {batch} | {way} | {low:.3f} | {middle:.3f} | {high:.3f} |")
    record.replace_block(
        Path(__file__).parents[1] / "docs" / "judging.md", "threads", "\n".join(rows)
    )


if __name__ == "__main__":
    main()
