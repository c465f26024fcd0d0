"""Tune the reference library on a GPU, and time what is promoted beside its peers. One command.

    python benchmarks/gpu_first_light.py            # before: does every layer work?
    python benchmarks/gpu.py [--minutes 25] [--programs climate:hdiff,...] [--host]
    python benchmarks/gpu.py --write-docs FILE.json # table and plot of a result file

Results are written after every step to `results/gpu-<card>.json`, with raw samples, versions and
clocks; the same command goes on where an earlier one stopped, which `--fresh` prevents. Programs
are tuned for arrays that stay on the GPU, then with `--host` for arrays of NumPy. What failed is
tried again with `--again`. Every contender is timed by `gpu_peers.py` in processes of its own, in
two rounds in opposite order.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import gpu_figures
import msgspec
import record
from gpu_peers import CONTENDERS, Task, reference_of

from outpace.codegen.feedback import moved_bytes
from outpace.codegen.nests.operations import operations_of
from outpace.codegen.reference import Reference
from outpace.errors import EnvironmentError_
from outpace.kernels.gpu.device import find_device
from outpace.kernels.gpu.readings import readings
from outpace.model import Status
from outpace.tuner import api
from outpace.tuner.campaign import Budget
from outpace.tuner.gpu.roof import measured_roof

PROGRAMS: dict[str, dict[str, int]] = {
    "climate:hdiff": {"I": 512, "J": 512, "K": 48},
    "linalg:transpose": {"y": 4500, "x": 4000},
    "aerospace:jacobi_2d": {"y": 3072, "x": 3072, "steps": 10},
    "climate:heat_3d": {"z": 208, "y": 208, "x": 208, "steps": 4},
    "linalg:softmax": {"batch": 8, "heads": 16, "queries": 512, "keys": 512},
    "linalg:dot": {"n": 12_000_000},
    "climate:diffuse_3d": {"z": 208, "y": 208, "x": 208, "steps": 3},
    "climate:advect_1d": {"n": 10_000_000, "steps": 4},
    "quantum:apply_gate": {"n": 2**24, "target": 12},
    "linalg:conv2d": {"batch": 8, "rows": 112, "cols": 112, "cin": 32, "cout": 32},
    "astro:nbody": {"n": 1500, "steps": 3},
    "medical:backproject": {"views": 180, "detectors": 360, "size": 256},
    "linalg:matmul": {"m": 1024, "k": 1024, "n": 1024},
    "aerospace:cavity_flow": {"ny": 256, "nx": 256, "steps": 5, "sweeps": 20},
}
"""Arrays are larger than the second-level cache, and the reference takes about a second."""
TUNING = Budget(minutes=3.0, drafts=12)
"""Of a program, before its finalists are confirmed; checking the reference counts."""
LEAST_MINUTES = 3.0
"""Left of the limit, for another program to be begun."""
CONTENDER_LIMIT = 120.0
"""Seconds for one contender, in which it may have to compile."""


def main() -> None:
    """Do what was asked for."""
    options = _options()
    if options.write_docs is not None:
        gpu_figures.write_docs(options.write_docs)
        return
    try:
        run = Run(options)
    except EnvironmentError_ as error:
        sys.exit(str(error))
    names = options.programs.split(",") if options.programs else list(PROGRAMS)
    for on_gpu in (True, False) if options.host else (True,):
        for name in names:
            if run.minutes_left < LEAST_MINUTES:
                print(f"the time is over; the same command goes on with {name}")
                return
            run.program(name, on_gpu=on_gpu)
    run.summary()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=25.0, help="no step begins after these")
    parser.add_argument("--programs", default="", help="names with commas between; all if empty")
    parser.add_argument("--host", action="store_true", help="arrays of NumPy too")
    parser.add_argument("--again", action="store_true", help="try again what failed before")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--promoted", type=Path, help="folder for promotions; else beside results")
    parser.add_argument("--results", type=Path, default=record.RESULTS, help="folder of results")
    parser.add_argument("--write-docs", type=Path, metavar="FILE.json", help="measure nothing")
    return parser.parse_args()


class Run:
    """One run of this script, and the file that it adds to."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._device = find_device()
        self._scratch = Path(tempfile.mkdtemp(prefix="outpace-gpu-"))
        self._end = time.monotonic() + 60 * options.minutes
        card = re.sub(r"[^a-z0-9]+", "-", self._device.name.lower()).strip("-")
        self._file = options.results / f"gpu-{card}.json"
        self._promoted = options.promoted or options.results / f"gpu-{card}-promoted"
        self._content: dict[str, Any] = {}
        if not options.fresh:
            with suppress(FileNotFoundError):
                self._content = json.loads(self._file.read_text(encoding="utf-8"))
        self._content |= {
            "schema": "outpace.benchmark.gpu/1",
            "environment": record.environment(),
            "device": asdict(self._device),
        }
        self._content.setdefault("programs", {})
        if options.again:
            self._forget_failures()
        if self._content.get("roof") is None:
            self._content["roof"] = _roof()
        self._write()

    def _forget_failures(self) -> None:
        """Let what failed be tried again: programs that were refused, contenders left out."""
        for row in self._content["programs"].values():
            row["left_out"] = {}
            if row.get("tuned", {}).get("promoted") is None:
                row.pop("tuned", None)

    @property
    def minutes_left(self) -> float:
        """Until no step may begin."""
        return (self._end - time.monotonic()) / 60

    def program(self, name: str, *, on_gpu: bool) -> None:
        """Tune a program, then time it beside its peers; what is there already is kept."""
        where = "gpu" if on_gpu else "host"
        row = self._content["programs"].setdefault(f"{name} {where}", {})
        row |= {"program": name, "on_gpu": on_gpu, "sizes": PROGRAMS[name]}
        begin = time.monotonic()
        if "tuned" not in row:
            row["tuned"] = self._tuned(name, on_gpu=on_gpu)
            self._write()
        for count, contender in (
            *((1, name) for name in CONTENDERS),
            *((2, name) for name in reversed(CONTENDERS)),
        ):
            samples = row.setdefault("samples", {}).setdefault(contender, [])
            is_there = len(samples) >= count or contender in row.setdefault("left_out", {})
            if not is_there and self.minutes_left > 0:
                samples += self._timed(row, contender)
                self._write()
        print(f"{gpu_figures.line(row, self._content['roof'])} "
              f"({time.monotonic() - begin:.0f} s)", flush=True)  # fmt: skip

    def _tuned(self, name: str, *, on_gpu: bool) -> dict[str, Any]:
        """What a campaign came to; the evidence of its promotion lies beside the draft."""
        reference = reference_of(name, PROGRAMS[name])
        begin = time.monotonic()
        before = _card()
        try:
            result = api.tune(
                reference,
                languages=("cuda",),
                budget=TUNING,
                promoted=self._promoted,
                on_gpu=on_gpu,
            )
        except Exception:  # noqa: BLE001  (one program must not cost the others their time)
            said = traceback.format_exc(limit=-8)
            print(said, flush=True)
            return {"refused": said, "seconds": time.monotonic() - begin}
        promotion = result.promotion
        return {
            "seconds": time.monotonic() - begin,
            "card": [before, _card()],
            "must_move": moved_bytes(reference.contract, reference.contract.workload("gpu")),
            "operations": _operations(reference),
            "promoted": None if promotion is None else promotion.variant.label,
            "evidence": None if promotion is None else msgspec.to_builtins(promotion.evidence[-1]),
            "notes": list(result.notes),
            "statuses": {s.value: sum(t.status is s for t in result.trials) for s in Status},
            "failures": list(_failures(result)),
        }

    def _timed(self, row: dict[str, Any], contender: str) -> list[dict[str, Any]]:
        """One process of a contender; why there is none goes into the row."""
        promoted = str(self._promoted)
        expected = str(self._scratch / f"{row['program'].replace(':', '-')}.npz")
        task = Task(row["program"], row["sizes"], contender, row["on_gpu"], promoted, expected)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(asdict(task), file)
            file.flush()
            command = [sys.executable, str(Path(__file__).parent / "gpu_peers.py"), file.name]
            before = _card()
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=CONTENDER_LIMIT, check=False,
                    env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                row["left_out"][contender] = f"no result within {CONTENDER_LIMIT:.0f} s"
                return []
        lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
        if done.returncode != 0 or not lines:
            row["left_out"][contender] = (
                lines[-1][:500] if lines else f"ends with {done.returncode}"
            )
            return []
        return [json.loads(lines[-1]) | {"card": [before, _card()]}]

    def summary(self) -> None:
        """The figures that the goals are stated in."""
        rows = [row for row in self._content["programs"].values() if row["on_gpu"]]
        gains = [gain for row in rows if (gain := gpu_figures.over_best(row)) is not None]
        if gains:
            print(f"geometric mean over the best peer: {geometric_mean(gains):.2f} of {len(gains)}")

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._content, indent=1) + "\n", encoding="utf-8")


def _operations(reference: Reference) -> dict[str, Any] | None:
    """What the reference does in a call; None where its nests cannot be counted."""
    found = operations_of(reference, reference.contract.workload("gpu").sizes)
    return None if found is None else asdict(found)


def _failures(result: api.Result) -> Iterator[str]:
    """What went wrong with drafts, each once: on a GPU for the first time, this is what to mend."""
    bad = (Status.BUILD_FAILED, Status.CRASHED, Status.WRONG, Status.INVALID, Status.TIMEOUT)
    seen = set()
    for trial in result.trials:
        said = f"{trial.status}: {trial.label}: {trial.reason}"
        if trial.status in bad and trial.reason not in seen:
            seen.add(trial.reason)
            yield f"{said}\n{trial.details[:1500]}"


def _roof() -> dict[str, Any] | None:
    """What the card reaches; None, and a line that says why, where that cannot be measured."""
    try:
        return msgspec.to_builtins(measured_roof())  # type: ignore[no-any-return]
    except EnvironmentError_ as error:
        print(error)
        return None


def _card() -> dict[str, Any] | None:
    """What the card says now, or None where its library is absent."""
    try:
        with readings() as card:
            return msgspec.to_builtins(card.read())  # type: ignore[no-any-return]
    except EnvironmentError_:
        return None


if __name__ == "__main__":
    main()
