"""How many wrong variants of the library drawn cases kill, and how many correct ones they reject.

The tables are those of `tests/mutants`. Each variant is held against the drawn cases of `--seeds`
self-checks of its reference, by the same comparison that judges a draft; rates come with exact
(Clopper-Pearson) 95% intervals, per class and in total, into `results/mutants.json`.

    python benchmarks/mutants.py [--seeds 20] [--write-readme]
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import record
from statistics_of_wins import clopper_pearson

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "mutants"))


def main() -> None:
    """Measure, or only rewrite the README from the committed result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--write-readme", action="store_true")
    options = parser.parse_args()
    if not options.write_readme:
        measure(options.seeds)
    record.replace_block(ROOT / "README.md", "mutants", block(record.read("mutants")))


def measure(seeds: int) -> None:
    from mutant_table import MUTANTS  # noqa: PLC0415  (found on the path that is added above)
    from reordering_table import REORDERINGS  # noqa: PLC0415

    tables = {"mutants": MUTANTS, "correct": REORDERINGS}
    record.write(
        "mutants", {"seeds": seeds, **{name: rates(t, seeds) for name, t in tables.items()}}
    )


def rates(table: Sequence[Any], seeds: int) -> dict[str, Any]:
    """Rejections of a table by class, and of the variants that are rejected for some seeds only."""
    from killing import is_rejected  # noqa: PLC0415

    rejected = {
        one.name: sum(is_rejected(one, seed) for seed in range(1000, 1000 + seeds)) for one in table
    }
    classes: dict[str, list[int]] = defaultdict(list)
    for one in table:
        classes[one.kind].append(rejected[one.name])
    return {
        "variants": len(table),
        "total": rate(list(rejected.values()), seeds),
        "classes": {kind: rate(counts, seeds) for kind, counts in sorted(classes.items())},
        "undecided": {name: count for name, count in rejected.items() if 0 < count < seeds},
    }


def rate(counts: Sequence[int], seeds: int) -> dict[str, Any]:
    low, high = clopper_pearson(sum(counts), seeds * len(counts))
    return {
        "rejected": sum(counts),
        "judged": seeds * len(counts),
        "rate_95_percent_interval": [low, high],
    }


def block(data: dict[str, Any]) -> str:
    """The table of the README."""
    rows = ["| variants | classes | judged | rejected [95%] |", "|---|---|---|---|"]
    for label, name in (("wrong", "mutants"), ("correct, other order", "correct")):
        table, total = data[name], data[name]["total"]
        low, high = (100 * p for p in total["rate_95_percent_interval"])
        share = 100 * total["rejected"] / total["judged"]
        rows.append(
            f"| {table['variants']} {label} | {len(table['classes'])} | {total['judged']} "
            f"| {share:.1f}% [{low:.1f}, {high:.1f}] |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
