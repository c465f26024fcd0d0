"""`outpace ci`: is a change still right, and no slower?"""

from pathlib import Path
from typing import Annotated

import typer

from outpace import environment
from outpace.cli.boundary import Answer, respond
from outpace.cli.exits import ExitCode
from outpace.cli.options import JsonOption, QuietOption
from outpace.errors import StorageError


def ci(
    base: Annotated[
        str, typer.Option(metavar="REF", help="Commit, branch or tag to compare with.")
    ],
    head: Annotated[str, typer.Option(metavar="REF", help="What is judged.")] = "HEAD",
    *,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the findings as JUnit XML.")
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a summary in Markdown; it is also added to $GITHUB_STEP_SUMMARY.",
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Verify and time what a change does to every function with a promotion.

    Both commits are checked out aside and timed in the same job. Exits 1 if a promotion is wrong or
    a function slower, 3 if that cannot be told here, else 0.
    """

    def work() -> Answer:
        from outpace.cli import ci_report, watch  # noqa: PLC0415
        from outpace.tuner.ci import regression  # noqa: PLC0415

        for path in (junit, markdown):
            _refuse_unwritable(path)
        with watch.watching(quiet=quiet) as observer:
            report = regression.compare(Path(), base, head, observer=observer)
        text = ci_report.markdown(report)
        if junit is not None:
            _write(junit, ci_report.junit(report))
        if markdown is not None:
            _write(markdown, text)
        summary = environment.step_summary()
        if summary is not None:
            _write(summary, text, mode="a")
        return Answer(
            ci_report.payload(report),
            lambda console: ci_report.show(console, report),
            _EXITS[report.colour.value],
        )

    respond(work, as_json=as_json)


_EXITS = {"green": ExitCode.OK, "red": ExitCode.FAILED, "inconclusive": ExitCode.INCONCLUSIVE}


def _refuse_unwritable(path: Path | None) -> None:
    """Find out before any work whether a report can be written; raises StorageError."""
    if path is not None and not path.resolve().parent.is_dir():
        raise StorageError(f"{path} cannot be written: there is no folder {path.parent}; make it")


def _write(path: Path, text: str, mode: str = "w") -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
