"""Tables and the plot of `gpu.py`, from its result file."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import record

DOCS = Path(__file__).parents[1] / "docs"
PRODUCT = "outpace"
_COLOURS = {"cupy": "#4477aa", "torch": "#ee6677", "jax": "#228833", "numba-cuda": "#ccbb44"}


def seconds(row: dict[str, Any], contender: str) -> float | None:
    """Median over all samples of a contender; None where it was not timed."""
    processes = row.get("samples", {}).get(contender, [])
    samples = [sample for process in processes for sample in process["samples"]]
    return median(samples) if samples else None


def own_seconds(row: dict[str, Any]) -> float | None:
    """What a user of outpace waits: where nothing was promoted the reference runs, under CuPy."""
    return seconds(row, PRODUCT) or seconds(row, "cupy")


def peers(row: dict[str, Any]) -> dict[str, float]:
    """Seconds of the others by name."""
    times = {name: seconds(row, name) for name in row.get("samples", {}) if name != PRODUCT}
    return {name: time for name, time in times.items() if time is not None}


def over_best(row: dict[str, Any]) -> float | None:
    """Time of the fastest peer over outpace's; None where either was not timed."""
    own, others = own_seconds(row), peers(row)
    return min(others.values()) / own if own is not None and others else None


def share_of_roof(row: dict[str, Any], roof: dict[str, Any] | None) -> float | None:
    """Bytes that must move over outpace's time, in parts of the copy bandwidth."""
    own, moved = own_seconds(row), row.get("tuned", {}).get("must_move")
    if own is None or moved is None or roof is None:
        return None
    return float(moved / own / roof["bandwidth"])


def under_roof(row: dict[str, Any], roof: dict[str, Any] | None) -> tuple[float, str] | None:
    """Part of the roof that outpace reaches, and what binds; None where it is not known."""
    own, tuned = own_seconds(row), row.get("tuned", {})
    moved, operations = tuned.get("must_move"), tuned.get("operations")
    if own is None or moved is None or operations is None or roof is None:
        return None
    rates = roof.get("rates", {})
    if operations["arithmetic"].keys() - rates.keys():
        return None
    arithmetic = [count / rates[dtype] for dtype, count in operations["arithmetic"].items()]
    least, name = max(
        [(moved / roof["bandwidth"], "memory"), *((t, "arithmetic") for t in arithmetic)]
    )
    return least / own, name


def line(row: dict[str, Any], roof: dict[str, Any] | None) -> str:
    """A row of the table."""
    own, share, gain = own_seconds(row), share_of_roof(row, roof), over_best(row)
    under = under_roof(row, roof)
    times = [f"{name} {1e6 * time:.0f} us" for name, time in sorted(peers(row).items())]
    cells = [
        f"`{row['program'].replace(':', '.')}`",
        "on the GPU" if row["on_gpu"] else "of NumPy",
        "-" if own is None else f"{1e6 * own:.0f} us",
        "-" if share is None or not row["on_gpu"] else f"{100 * share:.0f}%",
        "-" if under is None or not row["on_gpu"] else f"{100 * under[0]:.0f}% ({under[1]})",
        ", ".join(times) or "-",
        "-" if gain is None else f"{gain:.2f}x",
    ]
    return f"| {' | '.join(cells)} |"


def table(content: dict[str, Any]) -> str:
    """All programs, and why contenders are missing."""
    rows = list(content["programs"].values())
    roof = content["roof"]
    columns = ["program", "arrays", "outpace", "of copy bandwidth", "of the roof", "peers"]
    columns.append("over the best peer")
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [line(row, roof) for row in rows]
    gains = [g for row in rows if row["on_gpu"] and (g := over_best(row)) is not None]
    if gains:
        mean = geometric_mean(gains)
        lines += ["", f"Geometric mean over the best peer, arrays on the GPU: {mean:.2f}x."]
    told = f"{content['device']['name']}, {content['environment']['date']}{_reached(roof)}"
    lines += ["", f"{told}. What is missing, and why:", ""]
    for row in rows:
        for name, why in row.get("left_out", {}).items():
            lines.append(f"- `{row['program'].replace(':', '.')}`, {name}: {why}")
    return "\n".join(lines)


def _reached(roof: dict[str, Any] | None) -> str:
    """What the card was measured to do."""
    if roof is None:
        return ""
    rates = (f", {dtype} at {r / 1e12:.1f} Tflop/s" for dtype, r in roof.get("rates", {}).items())
    return f", copies at {roof['bandwidth'] / 1e12:.2f} TB/s{''.join(rates)}"


def plot(content: dict[str, Any], path: Path) -> None:
    """Speedup of outpace over each peer, one row a program, arrays on the GPU."""
    from matplotlib.figure import Figure  # noqa: PLC0415  (only the docs need it)

    rows = [r for r in content["programs"].values() if r["on_gpu"] and over_best(r) is not None]
    figure = Figure(figsize=(7, 0.5 + 0.4 * max(1, len(rows))), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        own = own_seconds(row)
        assert own is not None
        for name, time in peers(row).items():
            axes.plot(time / own, place, "o", color=_COLOURS[name], label=name)
    axes.set_yticks(range(len(rows)), [row["program"] for row in reversed(rows)])
    axes.axvline(1.0, color="#888888", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel(f"times as fast as the peer, {content['device']['name']}")
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    axes.legend(handles.values(), handles.keys(), loc="best", fontsize="small")
    figure.savefig(path)


def write_docs(file: Path) -> None:
    """Put the table into docs/cuda.md and the plot beside it."""
    content = json.loads(file.read_text(encoding="utf-8"))
    record.replace_block(DOCS / "cuda.md", "gpu", table(content))
    plot(content, DOCS / "gpu.svg")
