"""What outpace costs a caller: importing it, and dispatching a promoted kernel.

Writes `results/dispatch.json` and the README's block. Import times are of interleaved fresh
interpreters; dispatch is `test_dispatch.py` under pytest-benchmark.

    python benchmarks/dispatch.py [--write-readme]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import record

HERE = Path(__file__).parent
IMPORTS = {"numpy": ("pass", "import numpy"), "outpace": ("import numpy", "import outpace")}
"""What is timed, after what."""
RUNS = 25


def main() -> None:
    """Measure, or only rewrite the README from the committed result."""
    if "--write-readme" not in sys.argv[1:]:
        record.write("dispatch", {"import_seconds": imports(), "dispatch": dispatch()})
    write_readme()


def imports() -> dict[str, list[float]]:
    """Seconds of each import in fresh interpreters, raw."""
    code = "import time; {}; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
    times: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(RUNS):
        for name, statements in IMPORTS.items():
            answer = subprocess.run(
                [sys.executable, "-c", code.format(*statements)],
                capture_output=True,
                text=True,
                check=True,
            )
            times[name].append(float(answer.stdout))
    return times


def dispatch() -> dict[str, Any]:
    """Statistics of both cases, in seconds, with the medians of every round's batch."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "benchmark.json"
        command = [sys.executable, "-m", "pytest", "-q", str(HERE / "test_dispatch.py")]
        subprocess.run([*command, f"--benchmark-json={path}"], check=True)
        found = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    return {
        case["name"]: {
            key: case["stats"][key] for key in ("median", "min", "iqr", "rounds", "iterations")
        }
        | {"samples": case["stats"]["data"][:: max(1, len(case["stats"]["data"]) // 200)]}
        for case in found
    }


def write_readme() -> None:
    """One sentence each."""
    data = record.read("dispatch")
    numpy, outpace = (median(data["import_seconds"][name]) for name in IMPORTS)
    served, direct = (
        data["dispatch"][name]["median"]
        for name in ("test_served", "test_direct_call_and_allocation")
    )
    text = (
        f"`import outpace` adds {1e3 * outpace:.1f} ms to `import numpy` "
        f"({1e3 * numpy:.0f} ms). Dispatch of a promoted kernel costs "
        f"{1e6 * (served - direct):.2f} us beyond the direct call and the allocation of its output."
    )
    record.replace_block(HERE.parent / "README.md", "dispatch", text)


if __name__ == "__main__":
    main()
