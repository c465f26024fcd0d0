"""What was measured as a table, a summary and a plot."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from statistics import median
from typing import Any

from peers.contenders import PRODUCT, REFERENCE
from peers.forms import REWRITTEN
from peers.measuring import TRUSTED

PEERS = ("numba", "pythran", "dace", "jax")
HEADLINE = (
    "jacobi_2d",
    "heat_3d",
    "hdiff",
    "vadv",
    "cavity_flow",
    "fdtd_2d",
    "softmax",
    "conv2d_bias",
    "floyd_warshall",
    "nbody",
    "arc_distance",
    "azimint_naive",
)


@dataclass(frozen=True)
class Row:
    """One program at one workload.

    Attributes:
        program: Its name.
        numpy: Milliseconds of the reference.
        speedups: Of each peer's fastest form, and of outpace; those that failed are absent.
        over_best: Outpace's speedup over the fastest of all others, the reference among them. Where
            outpace failed its user runs the reference.
        share: Bytes that must move over outpace's time, in parts of the measured bandwidth.
        in_cache: Whether these bytes fit into the last cache, so that memory sets no limit.
    """

    program: str
    numpy: float
    speedups: dict[str, float]
    over_best: float
    share: float
    in_cache: bool


def row_of(program: str, measured: dict[str, Any]) -> Row:
    """A row from what stands in the result file; ratios are medians over rounds."""
    samples: dict[str, list[float]] = measured["samples"]
    trusted = samples[TRUSTED]
    fastest = {
        peer: min(labels, key=lambda label: median(samples[label]))
        for peer in (*PEERS, PRODUCT)
        if (labels := [label for label in samples if label.startswith(f"{peer}: ")])
    }
    speedups = {peer: _ratio(trusted, samples[label]) for peer, label in fastest.items()}
    own = samples[fastest.get(PRODUCT, TRUSTED)]
    others = [samples[label] for peer, label in fastest.items() if peer != PRODUCT]
    return Row(
        program,
        1e3 * median(trusted),
        speedups,
        _ratio(min([trusted, *others], key=median), own),
        measured["must_move"] / median(own) / measured["bandwidth"],
        measured["fits_last_cache"],
    )


def table(rows: list[Row]) -> str:
    """Markdown: a line for each program, a geometric mean for the headline and for all."""
    lines = [
        "| program | NumPy | Numba | Pythran | DaCe | JAX | outpace | over best | bandwidth |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row) for row in rows]
    for label, chosen in (
        (f"the {len(HEADLINE)}", [row for row in rows if row.program in HEADLINE]),
        ("all", rows),
    ):
        if len(chosen) > 1:
            lines.append(_mean_line(f"geometric mean of {label} ({len(chosen)})", chosen))
    return "\n".join(lines)


def reasons(program: str, measured: dict[str, Any]) -> list[str]:
    """For every peer without a time in a program, why its last form has none."""
    samples, found = measured["samples"], []
    for peer in (*PEERS, PRODUCT):
        own = f"{peer}: "
        said = [why for label, why in measured["left_out"].items() if label.startswith(own)]
        if said and not any(label.startswith(own) for label in samples):
            found.append(f"| {program} | {peer} | {said[-1].replace('|', ' ')} |")
    return found


def rewritten(program: str, measured: dict[str, Any]) -> list[str]:
    """What another algorithm reaches over the reference, where one was timed."""
    samples = measured["samples"]
    own = [label for label in samples if label.startswith(f"{REWRITTEN}: ")]
    return [
        f"`{program}` in another algorithm, by hand under Numba: "
        f"{_times(_ratio(samples[TRUSTED], samples[label]))} over NumPy."
        for label in own
    ]


def _ratio(slower: list[float], faster: list[float]) -> float:
    return median(a / b for a, b in zip(slower, faster, strict=True))


def _line(row: Row) -> str:
    name = f"**{row.program}**" if row.program in HEADLINE else row.program
    cells = [_times(row.speedups.get(peer)) for peer in (*PEERS, PRODUCT)]
    share = f"{row.share:.0%}{' (cache)' if row.in_cache else ''}"
    over = _times(row.over_best)
    return f"| {name} | {row.numpy:.3g} ms | {' | '.join(cells)} | {over} | {share} |"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3g}x"


def _mean_line(label: str, rows: list[Row]) -> str:
    """Means over the rows; a peer that fails counts as the reference, which its user would run."""
    cells = [
        _times(_mean([row.speedups.get(peer, 1.0) for row in rows])) for peer in (*PEERS, PRODUCT)
    ]
    over = _times(_mean([row.over_best for row in rows]))
    return f"| {label} | | {' | '.join(cells)} | {over} | |"


def _mean(ratios: list[float]) -> float:
    return exp(sum(map(log, ratios)) / len(ratios))


# --- Plot ---------------------------------------------------------------------------------------

_COLOURS = {
    "numba": "#4477aa",
    "pythran": "#66a182",
    "dace": "#b8a13b",
    "jax": "#aa6699",
    PRODUCT: "#cc3311",
}


def plot(rows: list[Row], path: Path, title: str) -> None:
    """Speedups over the reference as dots, a line a program, into an SVG file."""
    import matplotlib as mpl  # noqa: PLC0415  (nothing else needs it)

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    settings = {"svg.hashsalt": "outpace", "svg.fonttype": "none", "font.size": 9}
    ordered = sorted(rows, key=lambda row: row.speedups.get(PRODUCT, 1.0))
    with mpl.rc_context(settings):
        figure, axes = plt.subplots(figsize=(7, 1.2 + 0.2 * len(ordered)), layout="constrained")
        for peer, colour in _COLOURS.items():
            lines = [i for i, row in enumerate(ordered) if peer in row.speedups]
            speedups = [ordered[i].speedups[peer] for i in lines]
            marker, size = ("D", 26) if peer == PRODUCT else ("o", 18)
            axes.scatter(speedups, lines, s=size, c=colour, marker=marker, label=peer)
        axes.axvline(1.0, color="#888888", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_yticks(range(len(ordered)), [row.program for row in ordered])
        axes.set_ylim(-0.7, len(ordered) - 0.3)
        axes.set_xlabel(f"speedup over {REFERENCE}")
        axes.set_title(title)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(loc="lower right")
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(figure)
