"""`outpace judge`: one draft, by whoever wrote it."""

from pathlib import Path
from typing import Annotated

import typer

from outpace import environment
from outpace.cli.boundary import Answer, respond
from outpace.cli.exits import of_verdict
from outpace.cli.options import (
    JsonOption,
    PromotedOption,
    QuietOption,
    ReferenceArgument,
    WorkloadsOption,
    split_list,
)
from outpace.cli.settings import read_settings


def judge(
    reference: ReferenceArgument,
    draft: Annotated[Path, typer.Argument(metavar="DRAFT", help="File that holds the draft.")],
    *,
    language: Annotated[str, typer.Option(metavar="NAME", help="Language of the draft.")] = "numba",
    workload: WorkloadsOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge, and promote nothing.")] = False,
    promoted: PromotedOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Judge a draft from a file, and promote it if it is right and faster.

    Exits 0 only for the verdict "faster", 3 for "inconclusive", else 1.
    """

    def work() -> Answer:
        from outpace.cli import payloads, summary, watch  # noqa: PLC0415
        from outpace.codegen.reference import load_reference  # noqa: PLC0415
        from outpace.kernels.languages import language_named  # noqa: PLC0415
        from outpace.kernels.languages.base import read_draft  # noqa: PLC0415
        from outpace.tuner import api  # noqa: PLC0415

        workloads = split_list(workload, "--workload")
        written = read_draft(draft, language_named(language))
        loaded = load_reference(reference)
        settings = read_settings(loaded.folder)
        override = promoted or environment.promoted_override() or settings.promoted
        with watch.watching(quiet=quiet) as observer:
            result = api.judge(
                loaded,
                written,
                workloads=workloads,
                dry_run=dry_run,
                promoted=override,
                observer=observer,
            )
        return Answer(
            payloads.judged(result),
            lambda console: summary.show_verdict(console, result, override, observer.told),
            of_verdict(result.verdict),
        )

    respond(work, as_json=as_json)
