"""`outpace doctor`: what this machine has of what is needed, and how to get the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outpace.cli.boundary import Answer, respond
from outpace.cli.exits import ExitCode
from outpace.cli.models import (
    BaseUrlOption,
    EngineOptionsOption,
    ModelOption,
    asked_model,
    model_findings,
)
from outpace.cli.options import JsonOption
from outpace.cli.settings import read_settings

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.cli.probes import Finding


class Asking(StrEnum):
    """Who asks a model."""

    OPENAI = "openai"
    VLLM = "vllm"


def doctor(
    llm: Annotated[
        bool, typer.Option("--llm", help="Try a model too, with small requests.")
    ] = False,
    drafter: Annotated[Asking, typer.Option(help="Who asks that model.")] = Asking.OPENAI,
    base_url: BaseUrlOption = None,
    model: ModelOption = None,
    engine_options: EngineOptionsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what this machine offers, and how to get what is missing.

    Exits 4 if something is missing without which nothing works.
    """

    def work() -> Answer:
        from outpace.cli.probes import examine  # noqa: PLC0415

        options = None
        if llm:
            options = asked_model(
                drafter.value,
                base_url,
                model,
                engine_options=engine_options,
                settings=read_settings(Path.cwd()),
            )
        findings = examine()
        if options is not None:
            findings += model_findings(options)
        healthy = all(f.ok or not f.essential for f in findings)
        payload = {
            "schema": "outpace.doctor/1",
            "ok": healthy,
            "findings": [asdict(f) for f in findings],
        }
        code = ExitCode.OK if healthy else ExitCode.ENVIRONMENT
        return Answer(payload, lambda console: _show(console, findings), code)

    respond(work, as_json=as_json)


def _show(console: Console, findings: Sequence[Finding]) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        lack = Text("fail", style="bold red") if finding.essential else Text("note", style="yellow")
        mark = Text("ok", style="green") if finding.ok else lack
        told = finding.value if finding.ok else f"{finding.value}; {finding.hint}".lstrip("; ")
        table.add_row(finding.name, mark, Text(told, overflow="fold"))
    console.print(table)
