"""Repeat the campaigns of `tests/recorded` at their real workloads, beside the built-in drafter.

Each reference is tuned twice from scratch: by the built-in drafter alone, and by it together with
the recorded drafts of a model. Writes `results/recorded-campaign.json` (raw samples of every
confirmation). Promotions go to a scratch folder.

    python benchmarks/recorded.py [NAME ...]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import record
from library import tune

RECORDED = Path(__file__).resolve().parents[1] / "tests" / "recorded"
FUNCTIONS = {
    "conv2d": "linalg",
    "nbody": "astro",
    "backproject": "medical",
    "smith_waterman": "genomics",
    "softmax": "linalg",
}


def main() -> None:
    """Tune what was asked for; functions that were not keep their earlier rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="for example conv2d")
    names = parser.parse_args().names or list(FUNCTIONS)
    try:
        rows = record.read("recorded-campaign")["functions"]
    except FileNotFoundError:
        rows = {}
    for name in names:
        rows[name] = {
            "builtin": tuned(name, "builtin"),
            "builtin and model": tuned(name, f"builtin,replay:{RECORDED / name}"),
        }
        record.write("recorded-campaign", {"functions": rows})


def tuned(name: str, drafter: str) -> dict[str, Any]:
    return tune(f"{FUNCTIONS[name]}:{name}", drafter=drafter, languages=("numba", "c"))


if __name__ == "__main__":
    main()
