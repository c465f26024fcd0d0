"""`outpace simulate`: how well a strategy would have searched a recorded space."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outpace.cli.boundary import Answer, respond
from outpace.cli.options import JsonOption, StrategyOption

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.tuner.spacefiles import RecordedSpace

SHOWN = (25, 50, 100, 200)
"""Evaluations after which the table says how far the search was, and at the end."""
NEAR = 1.05
"""Times the optimum that count as found."""

Course = list[float | None]


def simulate(
    space: Annotated[
        Path,
        typer.Argument(metavar="SPACE", help="Cache file of Kernel Tuner, gzipped or not."),
    ],
    *,
    strategy: StrategyOption = None,
    budget: Annotated[
        int, typer.Option(min=1, metavar="N", help="Evaluations, failing ones included.")
    ] = 100,
    seeds: Annotated[int, typer.Option(min=1, metavar="K", help="Runs, from seed 0 on.")] = 10,
    warm: Annotated[
        list[Path] | None,
        typer.Option(metavar="OTHER", help="Recorded space of the same kernel to learn from."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a recorded space: nothing is built or timed.

    Prints how far the best point found was from the best one recorded.
    """

    def work() -> Answer:
        from outpace.tuner.replay import records_of, replay  # noqa: PLC0415
        from outpace.tuner.search import DEFAULT, make_strategy  # noqa: PLC0415
        from outpace.tuner.spacefiles import read_space  # noqa: PLC0415

        recorded = read_space(space)
        known = [record for path in warm or () for record in records_of(read_space(path))]
        name = strategy or DEFAULT
        courses = [
            replay(recorded, make_strategy(name, recorded.space, seed, known), budget)
            for seed in range(seeds)
        ]
        payload = {
            "schema": "outpace.simulate/1",
            "kernel": recorded.kernel,
            "device": recorded.device,
            "strategy": name,
            "seeds": [
                {"seed": seed, "best_over_optimum": course} for seed, course in enumerate(courses)
            ],
        }
        return Answer(payload, lambda console: _show(console, recorded, name, courses))

    respond(work, as_json=as_json)


def _show(
    console: Console, recorded: RecordedSpace, strategy: str, courses: Sequence[Course]
) -> None:
    from rich.table import Table  # noqa: PLC0415

    failing = len(recorded.errors)
    console.print(
        f"{recorded.kernel} on {recorded.device}: {recorded.space.size} points, {failing} of them "
        f"failing, the best {1e3 * recorded.optimum:.4g} ms"
    )
    longest = max(map(len, courses))
    table = Table("evaluations", "median", "quartiles", f"within {NEAR - 1:.0%}", box=None)
    for count in sorted({*(n for n in SHOWN if n < longest), longest}):
        reached = sorted(_at(course, count) for course in courses)
        low, middle, high = (_quantile(reached, share) for share in (0.25, 0.5, 0.75))
        near = sum(value <= NEAR for value in reached) / len(reached)
        quartiles = f"{_shown(low)} to {_shown(high)}"
        table.add_row(str(count), _shown(middle), quartiles, f"{near:.0%}")
    console.print(f"best time over the optimum, {strategy}, {len(courses)} seeds:")
    console.print(table)


def _at(course: Course, count: int) -> float:
    """Where a run was after so many evaluations; infinity where nothing had worked."""
    value = course[min(count, len(course)) - 1]
    return inf if value is None else value


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The value at a share of the way through, between two of them the larger."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _shown(value: float) -> str:
    return "none" if value == inf else f"{value:.3f}"
