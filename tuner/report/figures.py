"""The figures of a report, each as an `<svg>` element; what they show stands in tables too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from outpace.model import Evidence, Variant
from outpace.tuner.report.history import Quantity, Series
from outpace.tuner.report.roofline import Position
from outpace.tuner.report.svg import FIRST, GRID, INK, MUTED, SECOND, STYLE, THIRD, markup, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_WIDTH = 5.0
"""Inches; on a telephone a point is then about a pixel."""
_COLOURS = (FIRST, SECOND, THIRD)
_MARKERS = ("o", "s", "^")


def speedups(evidence: Sequence[Evidence], name: str) -> str:
    """Every timed pair of a confirmation as a dot, the median and its interval.

    Args:
        evidence: Of one promotion, at least one.
        name: Opens the ids of the figure.
    """
    with _drawing(1.1 + 0.6 * len(evidence)) as (figure, axes):
        for row, one in enumerate(evidence):
            _strip(axes, row, one)
        axes.axvline(1.0, color=MUTED, linestyle="--", linewidth=1)
        _rows(axes, [one.workload.name for one in evidence])
        _log(axes.xaxis, "x")
        axes.set_xlabel("speedup over the reference")
        told = "; ".join(
            f"{plain(e.workload.name)} {e.speedup.median:.3g} times, interval "
            f"{e.speedup.low:.3g} to {e.speedup.high:.3g}"
            for e in evidence
        )
        return markup(figure, name, f"Speedups over the reference: {told}")


def roofline(positions: Sequence[Position], name: str) -> str:
    """How fast the least bytes move in the reference and in the kernel, beside the roof.

    Args:
        positions: Of one promotion, all with a roof.
        name: Opens the ids of the figure.
    """
    with _drawing(1.4 + 0.5 * len(positions)) as (figure, axes):
        rows = range(len(positions))
        for colour, marker, label, seconds in (
            (SECOND, "s", "reference", [p.reference for p in positions]),
            (FIRST, "D", "promoted", [p.seconds for p in positions]),
        ):
            rates = [p.moved / s / 1e9 for p, s in zip(positions, seconds, strict=True)]
            axes.plot(rates, rows, marker, color=colour, label=label)
        roof = max(p.roof for p in positions if p.roof is not None) / 1e9
        axes.axvline(roof, color=INK, linewidth=1.5, label="copying memory")
        _rows(axes, [p.workload for p in positions])
        _log(axes.xaxis, "")
        axes.set_xlabel("least bytes over time, GB/s")
        figure.legend(loc="outside upper left", ncols=3, handletextpad=0.3, columnspacing=1)
        told = "; ".join(
            f"{plain(p.workload)} {p.moved / p.seconds / 1e9:.3g} GB/s" for p in positions
        )
        return markup(figure, name, f"Below a roof of {roof:.3g} GB/s: {told}")


def convergence(timed: Sequence[tuple[Variant, dict[str, float]]], name: str) -> str:
    """The best screened speedup so far over the variants that passed their checks.

    Args:
        timed: As `PastRuns.timed` gives them, at least one.
        name: Opens the ids of the figure.
    """
    workloads = tuple(dict.fromkeys(w for _, ratios in timed for w in ratios))
    with _drawing(2.9) as (figure, axes):
        told = []
        for i, workload in enumerate(workloads):
            points = [(n, r[workload]) for n, (_, r) in enumerate(timed, 1) if workload in r]
            best = [max(value for _, value in points[: k + 1]) for k in range(len(points))]
            numbers = [*(n for n, _ in points), len(timed)]
            colour, marker = _COLOURS[i % 3], _MARKERS[i % 3]
            axes.plot(
                [n for n, _ in points], [v for _, v in points], marker, color=colour, markersize=3
            )
            label = plain(workload)
            axes.step(numbers, [*best, best[-1]], where="post", color=colour, label=label)
            axes.plot(numbers[-1], best[-1], marker, color=colour)
            told.append(f"{label} {best[-1]:.3g} times")
        axes.axhline(1.0, color=MUTED, linestyle="--", linewidth=1)
        axes.grid(axis="y")
        _log(axes.yaxis, "x")
        _counted(axes.xaxis)
        axes.set_xlabel("variants timed")
        axes.set_ylabel("screened speedup")
        figure.legend(loc="outside upper left", ncols=3)
        return markup(figure, name, f"Best of {len(timed)} variants as screened: {'; '.join(told)}")


def history(series: Series, name: str) -> str:
    """The values of a series with its changes and the median levels between them."""
    values = [point.value for point in series.points]
    scale, unit = _unit(series.quantity, max(values))
    with _drawing(2.3) as (figure, axes):
        numbers = range(1, len(values) + 1)
        axes.plot(numbers, [v * scale for v in values], "o", color=FIRST, markersize=4)
        edges = [0, *(change.index for change in series.changes), len(values)]
        levels = [c.before for c in series.changes[:1]] + [c.after for c in series.changes]
        levels = levels or [median(values)]
        for (begin, end), level in zip(pairwise(edges), levels, strict=True):
            axes.plot([begin + 0.6, end + 0.4], [level * scale] * 2, color=SECOND, linewidth=2)
        for change in series.changes:
            axes.axvline(change.index + 0.5, color=INK, linestyle="--", linewidth=1)
        axes.set(xlim=(0.5, len(values) + 0.5), ylim=(0, 1.1 * scale * max(values)))
        axes.grid(axis="y")
        _counted(axes.xaxis)
        axes.set_xlabel("run")
        axes.set_ylabel(unit)
        places = ", ".join(str(change.index + 1) for change in series.changes)
        changed = f"changed at run {places}" if places else "no change found"
        return markup(figure, name, f"{plain(series.name, 80)} over {len(values)} runs: {changed}")


def _unit(quantity: Quantity, largest: float) -> tuple[float, str]:
    """By what to multiply values so that the largest has few digits, and what they are then."""
    if quantity is Quantity.SPEEDUP:
        return 1.0, "speedup"
    if largest >= 1:
        return 1.0, "seconds"
    return (1e3, "milliseconds") if largest >= 1e-3 else (1e6, "microseconds")


@contextmanager
def _drawing(height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure of that many inches with one pair of axes, in the page's style."""
    from matplotlib import style  # noqa: PLC0415
    from matplotlib.figure import Figure as NewFigure  # noqa: PLC0415

    with style.context(["default", STYLE]):
        figure = NewFigure(figsize=(_WIDTH, height), layout="constrained")
        yield figure, figure.subplots()


def _strip(axes: Axes, row: int, evidence: Evidence) -> None:
    """One row: a line of dots for each process pair, the interval above them."""
    count = len(evidence.samples)
    for i, pair in enumerate(evidence.samples):
        ratios = [b / v for b, v in zip(pair.baseline, pair.variant, strict=True) if v > 0]
        height = row + 0.02 + 0.36 * (i + 0.5) / count
        axes.plot(ratios, [height] * len(ratios), ".", color=SECOND, markersize=3, alpha=0.6)
    speedup = evidence.speedup
    axes.plot([speedup.low, speedup.high], [row - 0.15] * 2, color=FIRST, linewidth=4)
    axes.plot(speedup.median, row - 0.15, "D", color=INK, markersize=6)


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [plain(name, 14) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID)


def _log(axis: Axis, unit: str) -> None:
    """A logarithmic axis with round numbers, also where it spans less than a decade."""
    from matplotlib import ticker  # noqa: PLC0415

    name = "x" if axis is axis.axes.xaxis else "y"
    axis.axes.set(**{f"{name}scale": "log"})
    low, high = axis.get_view_interval()
    if high < 4 * low:
        axis.set_major_locator(ticker.MaxNLocator(5))
    else:
        subs = (1.0, 2.0, 5.0) if high < 200 * low else (1.0,)
        axis.set_major_locator(ticker.LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}{unit}"))
    axis.set_minor_locator(ticker.NullLocator())


def _counted(axis: Axis) -> None:
    from matplotlib import ticker  # noqa: PLC0415

    axis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
