"""`outpace export`: training data from judged drafts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outpace.cli.boundary import Answer, respond
from outpace.cli.options import JsonOption
from outpace.tuner.training.formats import Format

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.tuner.training.export import Exported


def export(
    form: Annotated[
        Format, typer.Option("--format", help="Which of TRL's trainers is to read the examples.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="For train.jsonl, test.jsonl and export.json.")
    ],
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CAMPAIGN",
            help="Folder of a campaign, its journal, or a folder of campaigns; default: all on "
            "this machine.",
        ),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE.py:function",
            help="Tells its licence, and the prompt for drafts of no model; repeat.",
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="SPDX",
            help="Of references whose own files do not tell it; without one they are left out.",
        ),
    ] = None,
    test_share: Annotated[
        float, typer.Option(metavar="SHARE", help="Of the references, held back for testing.")
    ] = 0.1,
    as_json: JsonOption = False,
) -> None:
    """Write judged drafts as training data for a model, with licence and provenance.

    What was confirmed faster is an example to follow; no reference is on both sides of the split.
    """

    def work() -> Answer:
        from outpace.codegen.reference import load_reference  # noqa: PLC0415
        from outpace.tuner.training import export as training  # noqa: PLC0415

        exported = training.export(
            sources or [],
            form,
            out,
            references=[load_reference(spec) for spec in reference or []],
            licence=licence,
            test_share=test_share,
        )
        payload = {**exported.account, "files": [str(path) for path in exported.files]}
        return Answer(payload, lambda console: _show(console, exported))

    respond(work, as_json=as_json)


def _show(console: Console, exported: Exported) -> None:
    from rich.text import Text  # noqa: PLC0415

    from outpace.cli import style  # noqa: PLC0415

    account, counts = exported.account, exported.account["examples"]
    summary = (
        f"{style.plural(counts['train'], 'example')} for training and {counts['test']} for testing "
        f"from {style.plural(len(account['references']), 'reference')} in "
        f"{style.plural(account['campaigns'], 'campaign')}"
    )
    lines = [
        summary,
        *(f"left out {count}: {reason}" for reason, count in account["left_out"].items()),
        *(f"written {style.path(path)}" for path in exported.files),
    ]
    for line in lines:
        console.print(Text(line), soft_wrap=True)
