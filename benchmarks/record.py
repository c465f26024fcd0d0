"""Result files: raw samples with the environment they were measured in."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from outpace.kernels.target import current_target

RESULTS = Path(__file__).parent / "results"


def environment() -> dict[str, Any]:
    """What a reader needs to judge whether two runs may be compared."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "target": msgspec.to_builtins(current_target()),
        "load": os.getloadavg(),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def write(name: str, content: dict[str, Any]) -> Path:
    """Write `results/<name>.json` with the environment; floats keep six significant digits."""
    path = RESULTS / f"{name}.json"
    RESULTS.mkdir(exist_ok=True)
    body = {"schema": f"outpace.benchmark.{name}/1", "environment": environment(), **content}
    path.write_text(json.dumps(_rounded(body), indent=1) + "\n", encoding="utf-8")
    return path


def read(name: str) -> dict[str, Any]:
    """The content of `results/<name>.json`."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def replace_block(path: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->` in a Markdown file."""
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = path.read_text(encoding="utf-8").partition(opening)
    _, ended, after = rest.partition(closing)
    if not (found and ended):
        raise SystemExit(f"{path} has no block {opening} ... {closing}")
    path.write_text(f"{before}{opening}\n{text}\n{closing}{after}", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
