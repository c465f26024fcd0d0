"""`outpace mpi-check`: an mpi4py program on simulated ranks, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outpace.cli.boundary import Answer, respond
from outpace.cli.exits import ExitCode
from outpace.cli.options import JsonOption, split_list
from outpace.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.tuner.simcomm.check import Run, Verdict
    from outpace.tuner.simcomm.records import CallRecord, FaultRecord, WaitingRecord

DEFAULT_RANKS = "1,2,3,5,7"
MOST_WAITING = 8
"""Ranks whose calls are listed after a fault."""


def mpi_check(
    program: Annotated[Path, typer.Argument(metavar="PROGRAM", help="An mpi4py program.")],
    args: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGS]...", help="Its own arguments.")
    ] = None,
    *,
    ranks: Annotated[
        list[str] | None,
        typer.Option(
            "--ranks",
            "-n",
            metavar="N",
            help=f"Numbers of ranks, with commas; default: {DEFAULT_RANKS}.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="K", help="Orders of the ranks to try with each.")
    ] = 3,
    eager: Annotated[
        int,
        typer.Option(
            min=0, metavar="BYTES", help="Let sends shorter than this end before their receive."
        ),
    ] = 0,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time that one run may take.")
    ] = 60.0,
    show_output: Annotated[
        bool, typer.Option("--show-output", help="Show what the ranks print.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run an mpi4py program in simulation and name what is wrong: no MPI is needed.

    Finds deadlocks, mismatched collectives, truncated and mistyped messages, requests that are
    never completed, messages that nobody receives, and failures of some ranks only. What is not an
    option of this command is passed on to PROGRAM, and so is all that follows `--`. The exit code
    is 0 if nothing was found, 1 for a fault, 3 where the program uses what is not simulated, or
    takes too long.
    """

    def work() -> Answer:
        from outpace.tuner.simcomm.check import (  # noqa: PLC0415
            Question,
            check_program,
            verdict_of,
        )

        if not timeout > 0:
            raise UsageError(f"--timeout {timeout:g}: give a time above 0")
        question = Question(
            program, tuple(args or ()), _numbers(ranks), seeds, eager, timeout, show_output
        )
        runs = check_program(question)
        return _answer(program, runs, verdict_of(runs))

    respond(work, as_json=as_json)


def _numbers(given: Sequence[str] | None) -> tuple[int, ...]:
    names = split_list(given or [DEFAULT_RANKS], "-n")
    wrong = [name for name in names if not name.isdecimal() or int(name) < 1]
    if wrong:
        raise UsageError(f"-n {wrong[0]} is no number of ranks; write -n 1,2,3")
    return tuple(map(int, names))


def _answer(program: Path, runs: Sequence[Run], verdict: Verdict) -> Answer:
    from msgspec import to_builtins  # noqa: PLC0415

    codes = {"ok": ExitCode.OK, "fault": ExitCode.FAILED, "undecided": ExitCode.INCONCLUSIVE}
    payload = {
        "schema": "outpace.mpi-check/1",
        "program": str(program),
        "verdict": verdict.value,
        "runs": [
            {
                "ranks": run.ranks,
                "seed": run.seed,
                "verdict": run.verdict.value,
                "fault": to_builtins(run.reply.fault),
                "virtual_seconds": run.reply.seconds,
                "per_rank": to_builtins(run.reply.ranks),
            }
            for run in runs
        ],
    }
    return Answer(payload, lambda console: _show(console, runs), codes[verdict.value])


def _show(console: Console, runs: Sequence[Run]) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from outpace.cli import style  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("ranks", "verdict", "orders", "messages", "bytes", "virtual time"):
        table.add_column(name, justify="left" if name == "verdict" else "right")
    last = {run.ranks: run for run in runs}
    for ranks, run in last.items():
        fault, counts = run.reply.fault, run.reply.ranks
        said, colour = ("ok", "green") if fault is None else (fault.name, _colour(fault))
        moved = (sum(c.messages_sent for c in counts), sum(c.bytes_sent for c in counts))
        figures = (str(run.seed + 1), *map(str, moved), _seconds(run.reply.seconds))
        table.add_row(str(ranks), Text(said, style=colour), *figures)
    console.print(table)
    shown: set[str] = set()
    for ranks, run in last.items():
        fault = run.reply.fault
        if fault is not None and fault.name not in shown:
            shown.add(fault.name)
            console.print(Text(f"with {style.plural(ranks, 'rank')}:", style="bold"))
            for line in _lines(fault):
                console.print(Text(f"  {line}"), soft_wrap=True)


def _lines(fault: FaultRecord) -> Iterator[str]:
    """A fault in words, and what the ranks that waited were doing."""
    where = "" if fault.rank is None else f" on rank {fault.rank}"
    call = "" if fault.call is None else f" in {_place(fault.call)}"
    is_deadlock = fault.name == "Deadlock"
    reason = "no rank can go on" if is_deadlock else _short(fault.reason)
    yield f"{fault.name}{where}{call}: {reason}"
    stuck = [w for w in fault.waiting if w.call is not None or is_deadlock]
    for waiting in stuck[:MOST_WAITING]:
        yield f"  {_doing(waiting)}"
    if len(stuck) > MOST_WAITING:
        yield f"  and {len(stuck) - MOST_WAITING} more"


def _doing(waiting: WaitingRecord) -> str:
    if waiting.call is None:
        return f"rank {waiting.rank} {'has ended' if waiting.ended else 'was running'}"
    return f"rank {waiting.rank} waits in {_place(waiting.call)}"


def _place(call: CallRecord) -> str:
    return _short(f"{call.name} at {call.file}:{call.line}")


def _short(text: str) -> str:
    """Without the current folder in paths."""
    return text.replace(f"{Path.cwd()}/", "")


def _colour(fault: FaultRecord) -> str:
    return "red" if fault.decides else "yellow"


def _seconds(value: float) -> str:
    return f"{1e6 * value:.1f} us" if value < 1e-3 else f"{1e3 * value:.2f} ms"
