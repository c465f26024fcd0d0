"""False promotions of drafts that are not faster, and power for those that are.

Recorded process pairs, from which rates of promotion follow (`statistics_of_wins.py`), through the
very code that a confirmation runs:

- `copy`: the reference's own statements as a draft;
- `same kernel`: a compiled kernel against the same source compiled apart, as promotion in place;
- `5%`, `10%`: drafts that do so much less work;
- `copy, busy`, `same kernel, busy`, `5%, busy`: with a neighbour that burns a core.

End-to-end runs of the judge and of whole tunes, screening skipped, confirm them. Everything goes
into `results/error_rates.json`.

    python benchmarks/error_rates.py [--pairs 200] [--runs 20] [--write-readme]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import null
import record
from statistics_of_wins import promotion_rates

import outpace
from outpace.codegen.reference import Reference
from outpace.kernels.target import current_target
from outpace.model import Status
from outpace.tuner import api
from outpace.tuner.campaign import ATTEMPTS, Campaign
from outpace.tuner.confirm import ProcessPair
from outpace.tuner.events import QUIET
from outpace.tuner.journal import Journal
from outpace.tuner.rule import THRESHOLD
from outpace.tuner.untimed import few_variants

CANDIDATES = 20
TUNES = 5


def main() -> None:
    """Measure, or only rewrite the README from the committed result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=200, help="of a copy; others get a quarter")
    parser.add_argument(
        "--runs", type=int, default=20, help="end to end, of a copy; others get half"
    )
    parser.add_argument("--write-readme", action="store_true")
    options = parser.parse_args()
    if not options.write_readme:
        with tempfile.TemporaryDirectory() as scratch:
            measure(Path(scratch), options.pairs, options.runs)
    write_readme()


def measure(scratch: Path, pairs: int, runs: int) -> None:
    recorded = record_everything(scratch, pairs)
    copy = null.copy_of_reference()
    faster = null.copy_of_reference("faster", null.SWEEPS - 1)
    ends = {
        "copy": [forced([copy], scratch / f"c{i}") for i in range(runs)],
        "5%": [forced([faster], scratch / f"f{i}") for i in range(1 + 2 * runs // 5)],
        "best of 20 copies": [
            forced([null.copy_of_reference(f"copy {k}") for k in range(CANDIDATES)], scratch / "m")
        ],
        "five tunes in a row": [forced([copy], scratch / "t") for _ in range(TUNES)],
    }
    with neighbour():
        ends["copy, busy"] = [forced([copy], scratch / f"b{i}") for i in range(1 + 2 * runs // 5)]
    record.write(
        "error_rates",
        {
            "threshold": THRESHOLD,
            "end_to_end": ends,
            "rates": {
                name: promotion_rates([one.won for one in found])
                for name, found in recorded.items()
            },
            "process_pairs": {
                name: [_raw(one) for one in found] for name, found in recorded.items()
            },
        },
    )


def record_everything(scratch: Path, pairs: int) -> dict[str, list[ProcessPair]]:
    """Process pairs by the name of what was measured."""
    copy = null.copy_of_reference()
    faster = {n: null.copy_of_reference(f"{n} sweeps less", null.SWEEPS - n) for n in (1, 2)}
    kernel, same = null.compiled("kernel"), null.compiled("the same kernel")
    fewer = max(1, pairs // 4)
    with campaign(scratch, [copy, *faster.values(), kernel, same]) as prepared:
        return {
            "copy": pairs_of(prepared, copy, pairs),
            "same kernel": pairs_of(prepared, same, fewer, kernel),
            "5%": pairs_of(prepared, faster[1], fewer),
            "10%": pairs_of(prepared, faster[2], fewer),
        } | {
            f"{name}, busy": busy_pairs_of(prepared, draft, fewer, incumbent)
            for name, draft, incumbent in (
                ("copy", copy, None),
                ("same kernel", same, kernel),
                ("5%", faster[1], None),
            )
        }


@contextmanager
def campaign(
    scratch: Path, drafts: Sequence[outpace.Draft], reference: Reference = null.smooth.reference
) -> Iterator[Campaign]:
    """One in which these drafts were built and checked.

    The state directory is that of `scratch`: another tune in the same one has less to spend.
    """
    scratch.mkdir(exist_ok=True)
    os.environ["XDG_STATE_HOME"] = str(scratch / "state")
    os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")
    folder = Path(tempfile.mkdtemp(dir=scratch))
    workloads, target = api.workloads_of(reference, ()), current_target()
    with Journal(folder / "journal") as journal:
        made = Campaign(
            reference, target, workloads, journal, api.Budget(), folder / "promoted", QUIET
        )
        made.prepare()
        made.evaluate([next(few_variants(draft)) for draft in drafts])
        yield made


def pairs_of(
    prepared: Campaign, draft: outpace.Draft, count: int, incumbent: outpace.Draft | None = None
) -> list[ProcessPair]:
    variant = next(few_variants(draft))
    against = next(few_variants(incumbent)) if incumbent is not None else None
    found = []
    for done in range(count):
        found += prepared.process_pair(variant, against)
        print(f"\r{done + 1}/{count}", end="", flush=True)
    print(f" {sum(one.won for one in found)} won", flush=True)
    return found


def busy_pairs_of(
    prepared: Campaign, draft: outpace.Draft, count: int, incumbent: outpace.Draft | None
) -> list[ProcessPair]:
    with neighbour():
        return pairs_of(prepared, draft, count, incumbent)


@contextmanager
def neighbour() -> Iterator[None]:
    """A process that keeps one core busy."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def forced(drafts: Sequence[outpace.Draft], scratch: Path) -> str:
    """The outcome of a whole tune over these drafts, screening skipped."""
    with campaign(scratch, drafts) as made:
        promoted = made.confirm_best(screened=False, attempts=1 if len(drafts) == 1 else ATTEMPTS)
        verdict = made.verdict()
    assert bool(promoted) == (verdict is Status.FASTER)
    print("end to end:", verdict.value, flush=True)
    return verdict.value


def _raw(one: ProcessPair) -> dict[str, Any]:
    samples = one.samples
    raw: dict[str, Any] = {"won": one.won, "others": samples.conditions.others}
    if one.over_incumbent is not None:
        return raw | {"over_incumbent": one.over_incumbent}
    return raw | {"baseline": samples.baseline, "variant": samples.variant}


def write_readme() -> None:
    """Put the measured rates into the README's block."""
    data = record.read("error_rates")
    head = (
        "| draft | true speedup | process pairs won | promoted: one draft "
        "| best of many | five tunes in a row | end to end |"
    )
    rows = [head, "|---|---|---|---|---|---|---|"]
    speedups = {"5%": "1.05", "10%": "1.11"}
    for name, rate in data["rates"].items():
        low, high = rate["win_rate_interval"]
        cells = [_percent(one) for one in rate["promoted"].values()]
        runs = data["end_to_end"].get(name)
        rows.append(
            f"| {_LABELS[name]} | {speedups.get(name.partition(',')[0], '1.00')} | {rate['wins']} "
            f"of {rate['process_pairs']} ({100 * low:.1f} to {100 * high:.1f}%) | "
            f"{' | '.join(cells)} | {_counted(runs)} |"
        )
    rows += [
        f"| {_LABELS[name]} | 1.00 | | | | | {_counted(data['end_to_end'][name])} |"
        for name in ("best of 20 copies", "five tunes in a row")
    ]
    record.replace_block(Path(__file__).parents[1] / "README.md", "error-rates", "\n".join(rows))


_LABELS = {
    "copy": "a copy of the reference",
    "same kernel": "a kernel against itself, compiled apart",
    "5%": "5% less work",
    "10%": "10% less work",
    "copy, busy": "a copy, beside a busy neighbour",
    "same kernel, busy": "a kernel against itself, beside a busy neighbour",
    "5%, busy": "5% less work, beside a busy neighbour",
    "best of 20 copies": "the best of 20 copies",
    "five tunes in a row": "a copy, tuned five times in a row",
}


def _percent(promoted: dict[str, Any]) -> str:
    shown = [f"{100 * share:.3g}" for share in (promoted["estimate"], *promoted["interval"])]
    return f"{shown[0]}% [{shown[1]}, {shown[2]}]"


def _counted(runs: list[str] | None) -> str:
    return f"{runs.count('faster')} of {len(runs)}" if runs else ""


if __name__ == "__main__":
    main()
