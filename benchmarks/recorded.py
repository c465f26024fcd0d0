"""Repeat the campaigns of `tests/recorded` at their real workloads, beside the built-in drafter.

Each reference is tuned twice from scratch: by the built-in drafter alone, and by it together with
the recorded drafts of a model. Writes `results/recorded-campaign.json` (raw samples of every
confirmation). Promotions go to a scratch folder.

    python benchmarks/recorded.py [NAME ...]
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

from outpace.tuner import api

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
            "builtin": tune(name, "builtin"),
            "builtin and model": tune(name, f"builtin,replay:{RECORDED / name}"),
        }
        record.write("recorded-campaign", {"functions": rows})


def tune(name: str, drafter: str) -> dict[str, Any]:
    """One campaign from scratch, with its trials and its promotions."""
    module = importlib.import_module(f"outpace.kernels.library.{FUNCTIONS[name]}")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        result = api.tune(
            getattr(module, name),
            drafter=drafter,
            languages=("numba", "c"),
            fresh=True,
            promoted=Path(scratch),
        )
        promotions = [
            msgspec.json.decode(path.read_bytes())["value"]
            for path in sorted(Path(scratch).rglob("promotion.json"))
        ]
    seconds = time.monotonic() - begin
    print(f"{name} by {drafter}: {len(promotions)} promotions in {seconds:.0f} s", flush=True)
    return {
        "environment": record.environment(),
        "seconds": seconds,
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
        ],
        "notes": list(result.notes),
    }


if __name__ == "__main__":
    main()
