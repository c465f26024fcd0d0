"""Compare NumPy, Numba, Pythran, DaCe, JAX and what outpace promotes, program by program.

Every peer runs in an environment of its own, behind the channel that drafts are judged through; all
results are verified; the contenders of a program are interleaved in one run. See `docs/peers.md`.

    python benchmarks/peers.py --tune --promotions DIR          # once: what outpace is to serve
    python benchmarks/peers.py --build --venvs DIR              # once: environments and builds
    python benchmarks/peers.py --venvs DIR --promotions DIR [--workload large] [--resume]
    python benchmarks/peers.py --write-docs

`--programs a,b,c` limits it to some. Results are written program by program to
`results/peers.json`; a run that is killed loses nothing that it had finished.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import record
from peers import tables, venvs
from peers.contenders import field_of, telling_line
from peers.measuring import measure
from peers.roofline import must_move, triad_bandwidth
from programs import PROGRAMS

from outpace import environment
from outpace.codegen.reference import Reference
from outpace.errors import OutpaceError
from outpace.kernels.machine import this_machine
from outpace.kernels.promotions import find
from outpace.model import Workload
from outpace.tuner import api
from outpace.tuner.campaign import Budget
from outpace.tuner.process import Failure

DOCS = Path(__file__).parents[1] / "docs"
ROUNDS = 9
TUNE_MINUTES = 3.0
"""No more is tried of one program after this; most need less."""


def main() -> None:
    """Do what was asked for."""
    options = _options()
    if options.write_docs:
        write_docs()
        return
    names = options.programs.split(",") if options.programs else list(PROGRAMS)
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown:
        raise SystemExit(f"no program {', '.join(unknown)}; there are {', '.join(PROGRAMS)}")
    if options.tune:
        for name in names:
            tune(PROGRAMS[name], options.workload, options.promotions)
        return
    interpreters = {
        peer: venvs.ensure(options.venvs, peer) for peer in venvs.PACKAGES if peer in options.peers
    }
    work = options.venvs / "work"
    if options.build:
        for name in names:
            reference = PROGRAMS[name]
            workload = reference.contract.workload(options.workload)
            found = field_of(reference, workload, interpreters, options.promotions, work)
            for label, reason in found.left_out.items():
                print(f"{name}: {label}: {reason}", flush=True)
        return
    comparison = Comparison(options, interpreters, work)
    for name in names:
        comparison.run(name)
    write_docs()


def _options() -> argparse.Namespace:
    home = environment.cache_dir() / "peers"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--programs", default="", help="names with commas between; all if empty")
    parser.add_argument("--workload", default="large", choices=("small", "large"))
    parser.add_argument("--peers", default=",".join(venvs.PACKAGES))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--venvs", type=Path, default=home, help="environments and builds")
    parser.add_argument("--promotions", type=Path, default=home / "promotions")
    parser.add_argument("--tune", action="store_true", help="tune what is not tuned yet")
    parser.add_argument("--build", action="store_true", help="build, and time nothing")
    parser.add_argument("--resume", action="store_true", help="leave out what is measured")
    parser.add_argument("--write-docs", action="store_true", help="measure nothing")
    options = parser.parse_args()
    options.peers = options.peers.split(",")
    if options.rounds < 7:
        parser.error("medians need at least 7 rounds")
    return options


def tuned(reference: Reference, workload: str, promotions: Path) -> Path:
    """Where it stands how the tuning went."""
    return promotions / f"{reference.written.__name__}-{workload}.json"


def tune(reference: Reference, workload: str, promotions: Path) -> None:
    """Tune a program once at a workload; its promotions, and how long it took, stay in a folder."""
    said = tuned(reference, workload, promotions)
    if said.exists() and json.loads(said.read_text())["source"] == reference.source_hash:
        return
    promotions.mkdir(parents=True, exist_ok=True)
    budget = Budget(minutes=TUNE_MINUTES)
    begin = time.monotonic()
    try:
        result = api.tune(
            reference, workloads=[workload], budget=budget, fresh=True, promoted=promotions
        )
    except OutpaceError as error:
        found: dict[str, Any] = {"refused": telling_line(str(error))}
    else:
        found = {
            "promoted": result.promotion is not None,
            "notes": [telling_line(n) for n in result.notes],
        }
    found |= {"source": reference.source_hash, "seconds": time.monotonic() - begin}
    said.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{reference.written.__name__}: {found}", flush=True)


class Comparison:
    """One run at one workload, and the file that it adds to."""

    def __init__(
        self, options: argparse.Namespace, interpreters: dict[str, Path], work: Path
    ) -> None:
        self._options = options
        self._interpreters = interpreters
        self._work = work
        self._rng = np.random.default_rng()
        self._bandwidth = triad_bandwidth()
        self._last_cache = this_machine().last_cache
        self._versions = {peer: venvs.versions(path) for peer, path in interpreters.items()}
        self._results = _known()

    def run(self, name: str) -> None:
        """Measure a program, unless it is there already, and write the file anew."""
        results = self._results.setdefault(self._options.workload, {})
        if self._options.resume and name in results:
            return
        reference = PROGRAMS[name]
        workload = reference.contract.workload(self._options.workload)
        begin = time.monotonic()
        try:
            results[name] = self._measured(reference, workload)
        except (OutpaceError, Failure) as error:
            print(f"{name}: {error}", flush=True)
            return
        record.write("peers", {"environment": self._environment(), "workloads": self._results})
        row = tables.row_of(name, results[name])
        print(
            f"{tables.table([row]).splitlines()[-1]} {time.monotonic() - begin:.0f} s", flush=True
        )

    def _measured(self, reference: Reference, workload: Workload) -> dict[str, Any]:
        options = self._options
        promotions = options.promotions
        found = field_of(reference, workload, self._interpreters, promotions, self._work)
        measured = measure(reference, workload, found, options.rounds, self._rng)
        name = reference.written.__name__
        moved, fits = must_move(name, reference.contract, workload, self._last_cache)
        said = tuned(reference, workload.name, promotions)
        return {
            "environment": self._environment(),
            "versions": self._versions,
            "bandwidth": self._bandwidth,
            "sizes": workload.sizes,
            "must_move": moved,
            "fits_last_cache": fits,
            "tuned": json.loads(said.read_text()) if said.exists() else None,
            "promoted": [
                f"{stored.promotion.variant.draft.language}: {stored.promotion.variant.label}"
                for stored in find(reference, promotions)
            ],
            "batch": measured.batch,
            "samples": measured.samples,
            "screened": measured.screened,
            "left_out": measured.left_out,
        }

    def _environment(self) -> dict[str, Any]:
        """As of every benchmark, without the folders that were given."""
        command = f"peers.py --workload {self._options.workload} --rounds {self._options.rounds}"
        return {**record.environment(), "command": command}


def _known() -> dict[str, dict[str, Any]]:
    try:
        return record.read("peers")["workloads"]  # type: ignore[no-any-return]
    except FileNotFoundError:
        return {}


def write_docs() -> None:
    """Tables and plots of all that is in the result file, the headline programs first."""
    page = DOCS / "peers.md"
    for workload, results in _known().items():
        first = [name for name in tables.HEADLINE if name in results]
        names = [*first, *(n for n in PROGRAMS if n in results and n not in first)]
        rows = [tables.row_of(name, results[name]) for name in names]
        others = [line for name in names for line in tables.rewritten(name, results[name])]
        text = "\n\n".join([tables.table(rows), *others])
        record.replace_block(page, f"peers-{workload}", text)
        lines = [line for name in names for line in tables.reasons(name, results[name])]
        header = ["| program | peer | why it has no time |", "|---|---|---|"]
        record.replace_block(page, f"left-out-{workload}", "\n".join([*header, *lines]))
        tables.plot(rows, DOCS / f"peers-{workload}.svg", f"workload '{workload}', 2 cores")


if __name__ == "__main__":
    main()
