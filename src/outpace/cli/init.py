"""`outpace init`: from a script to references for its hot functions."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from outpace.cli.boundary import Answer, respond
from outpace.cli.options import JsonOption
from outpace.errors import ContractError, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from outpace.codegen.capture.proposal import Proposal
    from outpace.codegen.capture.running import Refused, Run
    from outpace.codegen.capture.writing import Module

ScriptArgument = Annotated[Path, typer.Argument(metavar="SCRIPT", help="The script to run.")]
ArgsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[ARGS]...", help="Its own arguments.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace references that were proposed before.")
]
SamplesOption = Annotated[
    float, typer.Option(metavar="MIB", help="Size of the recorded inputs of each function.")
]

LeastOption = Annotated[
    float, typer.Option(metavar="PERCENT", help="Share of the time that makes a function hot.")
]


def init(
    script: ScriptArgument,
    args: ArgsArgument = None,
    *,
    force: ForceOption = False,
    least: LeastOption = 5.0,
    record: SamplesOption = 16.0,
    as_json: JsonOption = False,
) -> None:
    """Run a script, name its hot functions, and write references for them.

    The script runs once, as Python would run it. References go to SCRIPT_references.py beside it,
    recorded inputs to SCRIPT_recorded/; the script itself is not changed, the change to make is
    printed. Options stand before SCRIPT; what follows it is passed on.
    """

    def work() -> Answer:
        from outpace.codegen.capture.running import choose, run_script  # noqa: PLC0415

        if not record > 0:
            raise UsageError(f"--record {record:g}: give a size above 0")
        _refuse_existing(script, force)
        run = run_script(script, args or ())
        module, refused = choose(
            run, script, partial(_fault, script), max_bytes=int(record * 2**20), least=least
        )
        path = module.write(script.resolve().parent) if module.proposals else None
        return _answer(_Outcome(script, run, module, refused, path))

    respond(work, as_json=as_json)


@dataclass(frozen=True)
class _Outcome:
    script: Path
    run: Run
    module: Module
    refused: Sequence[Refused]
    path: Path | None


def _refuse_existing(script: Path, force: bool) -> None:
    from outpace.codegen.capture.writing import Module  # noqa: PLC0415

    path = script.with_name(Module(script).file)
    if path.exists() and not force:
        raise UsageError(f"{path} exists already; --force replaces it and its recordings")


def _fault(script: Path, proposal: Proposal) -> str | None:
    """Hold a proposal to its contract as the judge would; why it fails, or None."""
    from outpace.cli.boundary import stderr_console  # noqa: PLC0415
    from outpace.codegen.capture.writing import Module  # noqa: PLC0415
    from outpace.codegen.reference import load_reference  # noqa: PLC0415
    from outpace.tuner.numerics.selfcheck import check_reference  # noqa: PLC0415

    stderr_console().print(f"checking {proposal.name}", soft_wrap=True)
    alone = Module(script)
    alone.add(proposal)
    with tempfile.TemporaryDirectory(prefix="outpace-init-") as folder:
        path = alone.write(Path(folder))
        try:
            check_reference(load_reference(f"{path}:{proposal.name}"), seed=0)
        except ContractError as error:
            return str(error)
    return None


def _answer(outcome: _Outcome) -> Answer:
    run = outcome.run
    rows = [
        {**_timing(run, p.seen), "reference": f"{outcome.module.file}:{p.name}", "why_not": None}
        for p in outcome.module.proposals
    ]
    rows += [{**_timing(run, r.seen), "reference": None, "why_not": r.why} for r in outcome.refused]
    change = outcome.module.change(Path.cwd()) if outcome.path is not None else ""
    payload = {
        "schema": "outpace.init/1",
        "script": str(outcome.script),
        "seconds": run.seconds,
        "functions": rows,
        "module": None if outcome.path is None else str(outcome.path),
        "change": change,
        "incomplete": run.problem,
    }
    return Answer(payload, lambda console: _show(console, outcome, rows, change))


def _timing(run: Run, seen: Any) -> dict[str, Any]:
    return {
        "function": seen.qualname,
        "file": seen.file,
        "line": seen.line,
        "calls": seen.calls,
        "own_share": seen.own / run.seconds,
        "total_share": seen.total / run.seconds,
    }


def _show(console: Console, outcome: _Outcome, rows: Sequence[dict[str, Any]], change: str) -> None:
    from rich.text import Text  # noqa: PLC0415

    from outpace.cli import style  # noqa: PLC0415

    def line(text: str, text_style: str = "") -> None:
        console.print(Text(text, style=text_style), soft_wrap=True)

    if outcome.run.problem is not None:
        line(f"the watch ended early: {outcome.run.problem}", "yellow")
    console.print(_table(rows))
    for row in rows:
        if row["why_not"] is not None:
            place = f"{style.path(Path(row['file']))}:{row['line']}"
            line(f"{row['function']} ({place}) was not taken: {row['why_not']}")
    if outcome.path is None:
        line("no reference was written")
        return
    for proposal in outcome.module.proposals:
        for note in proposal.notes:
            line(f"{proposal.name}: {note}", "dim")
    line(f"wrote {style.path(outcome.path)}", "green")
    line("next:", "bold")
    for proposal in outcome.module.proposals:
        line(f"  outpace tune {style.path(outcome.path)}:{proposal.name}")
    line("to run what is promoted, apply this change (`patch -p0`):", "bold")
    console.print(Text(change), soft_wrap=True)


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("function", "calls", "own time", "with callees"):
        table.add_column(name, overflow="fold")
    for row in rows:
        shares = (f"{row['own_share']:.0%}", f"{row['total_share']:.0%}")
        table.add_row(Text(row["function"]), str(row["calls"]), *shares)
    return table
