"""`outpace scale`: how a function scales over MPI ranks, measured here and predicted beyond."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from outpace.cli.boundary import Answer, respond, stderr_console
from outpace.cli.options import JsonOption, QuietOption, ReferenceArgument
from outpace.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.tuner.mpi.scaling import Curve

DEFAULT_RANKS = "1..64"
MOST_RANKS = 1_000_000


def scale(
    reference: ReferenceArgument,
    *,
    ranks: Annotated[
        str,
        typer.Option(
            metavar="RANKS", help="Numbers with commas; A..B doubles from A and ends with B."
        ),
    ] = DEFAULT_RANKS,
    workload: Annotated[
        str | None, typer.Option(metavar="NAME", help="The problem; default: the largest.")
    ] = None,
    weak: Annotated[
        bool, typer.Option("--weak", help="Let the problem grow with the ranks.")
    ] = False,
    alpha: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Latency of a message; default: as measured here."),
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Time for each byte; default: as measured here."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw the curve as well.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure the default plan on as many ranks as there are cores, and predict it beyond.

    Predicted are computing, measured at the size of a rank's block, and messages, by a simulated
    communicator with latency and bandwidth as measured between two ranks here. Give --alpha and
    --beta of another network to ask about that. Every predicted point says so.
    """

    def work() -> Answer:
        from outpace.codegen.reference import load_reference  # noqa: PLC0415
        from outpace.tuner.mpi.scaling import scaling  # noqa: PLC0415

        counts = rank_counts(ranks)
        for name, value in (("--alpha", alpha), ("--beta", beta)):
            if value is not None and not 0 <= value < 1:
                raise UsageError(f"{name} {value:g}: give seconds, from 0 to below 1")
        if plot is not None and plot.suffix != ".svg":
            raise UsageError(f"--plot {plot}: give a file that ends with .svg")
        curve = scaling(
            load_reference(reference),
            counts,
            workload=workload,
            weak=weak,
            latency=alpha,
            seconds_per_byte=beta,
            progress=_silent if quiet or as_json else _told,
        )
        if plot is not None:
            from outpace.tuner.mpi.scaling_plot import plot as draw  # noqa: PLC0415

            draw(curve, plot)
        return Answer(_payload(curve), lambda console: _show(console, curve))

    respond(work, as_json=as_json)


def rank_counts(text: str) -> tuple[int, ...]:
    """Numbers of ranks, ascending, each once.

    Args:
        text: Numbers and ranges with commas; `3..20` means 3, 6, 12, 20.

    Raises:
        UsageError: It is something else.
    """
    found: set[int] = set()
    for piece in text.split(","):
        first, dots, last = piece.strip().partition("..")
        ends = [first, last] if dots else [first, first]
        if not all(end.isascii() and end.isdecimal() and len(end) <= 7 for end in ends):
            raise UsageError(f"--ranks {text} names no numbers of ranks; write 1,2,4 or 1..256")
        low, high = map(int, ends)
        if not 1 <= low <= high <= MOST_RANKS:
            raise UsageError(
                f"--ranks {text}: {piece.strip()} is not from 1 to {MOST_RANKS}, the smaller first"
            )
        while low < high:
            found.add(low)
            low *= 2
        found.add(high)
    return tuple(sorted(found))


def _silent(_: str) -> None:
    return


def _told(text: str) -> None:
    stderr_console().print(text, style="dim")


def _payload(curve: Curve) -> dict[str, Any]:
    return {
        "schema": "outpace.scale/1",
        "reference": curve.reference,
        "workload": curve.workload,
        "weak": curve.weak,
        "network": {
            "latency": curve.network.latency,
            "seconds_per_byte": curve.network.seconds_per_byte,
            "origin": curve.network.origin,
        },
        "notes": list(curve.notes),
        "points": [
            {
                "ranks": point.ranks,
                "source": point.source.value,
                "seconds": point.seconds,
                "predicted_seconds": point.predicted,
                "computing_seconds": point.computing,
                "speedup": point.speedup,
                "efficiency": point.efficiency,
                "sizes": point.sizes,
                "grid": point.grid,
            }
            for point in curve.points
        ],
    }


def _show(console: Console, curve: Curve) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from outpace.tuner.mpi.scaling import Source  # noqa: PLC0415

    kind = "weak" if curve.weak else "strong"
    network = curve.network
    console.print(f"{curve.reference}, workload {curve.workload}, {kind} scaling, default plan")
    console.print(
        f"messages: {1e6 * network.latency:.3g} us and "
        f"{_bandwidth(network.seconds_per_byte)} ({network.origin})"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("ranks", "", "time", "by the model", "speedup", "efficiency", "grid"):
        table.add_column(name, justify="left" if name in ("", "grid") else "right")
    for point in curve.points:
        is_measured = point.source is Source.MEASURED
        label = Text(point.source.value, style="green" if is_measured else "yellow")
        grid = " x ".join(map(str, point.grid.values()))
        times = (_seconds(point.seconds), _seconds(point.predicted))
        ratios = (f"{point.speedup:.2f}x", f"{point.efficiency:.2f}")
        table.add_row(str(point.ranks), label, *times, *ratios, grid)
    console.print(table)
    for note in curve.notes:
        console.print(Text(note), soft_wrap=True)


def _bandwidth(seconds_per_byte: float) -> str:
    return f"{1e-9 / seconds_per_byte:.3g} GB/s" if seconds_per_byte else "no time for bytes"


def _seconds(value: float) -> str:
    for scale, unit in ((1.0, "s"), (1e-3, "ms")):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{1e6 * value:.3g} us"
