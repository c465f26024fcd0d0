"""A scaling curve as an SVG file: what is predicted is hollow and dashed."""

from __future__ import annotations

from pathlib import Path

from outpace.errors import EnvironmentError_, StorageError
from outpace.tuner.mpi.scaling import Curve, Source

_MEASURED, _PREDICTED, _IDEAL = "#1f5fa8", "#b5541c", "#8a8a8a"


def plot(curve: Curve, path: Path) -> None:
    """Draw speedup over ranks; equal curves give equal files.

    Args:
        curve: As `outpace.tuner.mpi.scaling.scaling` gives it.
        path: File to write, in an existing folder.

    Raises:
        EnvironmentError_: matplotlib is not installed.
        StorageError: The file cannot be written.
    """
    try:
        from matplotlib import style  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise EnvironmentError_(
            "matplotlib is not installed; pip install 'outpace[report]'"
        ) from None
    settings = {"svg.hashsalt": "outpace", "svg.fonttype": "none", "font.size": 9}
    points = curve.points
    with style.context(["default", settings]):
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        ranks = [p.ranks for p in points]
        axes.plot(ranks, [r / ranks[0] for r in ranks], color=_IDEAL, linewidth=1, label="ideal")
        measured = [p for p in points if p.source is Source.MEASURED]
        predicted = [p for p in points if p.source is Source.PREDICTED]
        if measured:
            xs, ys = [p.ranks for p in measured], [p.speedup for p in measured]
            axes.plot(xs, ys, "o-", color=_MEASURED, label="measured")
        if predicted:
            joined = [*measured[-1:], *predicted]
            axes.plot(
                [p.ranks for p in joined], [p.speedup for p in joined], "--", color=_PREDICTED
            )
            xs, ys = [p.ranks for p in predicted], [p.speedup for p in predicted]
            axes.plot(
                xs,
                ys,
                marker="o",
                linestyle="none",
                color=_PREDICTED,
                markerfacecolor="none",
                label="predicted, not measured",
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xticks(ranks, [str(r) for r in ranks])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        kind = "weak" if curve.weak else "strong"
        axes.set_xlabel("ranks")
        axes.set_ylabel(f"speedup over {ranks[0]} rank{'s' * (ranks[0] > 1)}")
        axes.set_title(f"{curve.reference}, {curve.workload}, {kind} scaling")
        axes.legend(frameon=False)
        try:
            figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
