"""`outpace check`: are committed promotions still right and faster?"""

from pathlib import Path

from outpace.cli.boundary import Answer, respond
from outpace.cli.exits import of_checks
from outpace.cli.options import JsonOption, PathsArgument, QuietOption


def check(
    paths: PathsArgument = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Verify and time again the promotions under some paths.

    Exits 1 if any is wrong or no longer faster, 3 if any is inconclusive, else 0.
    """

    def work() -> Answer:
        from outpace.cli import payloads, summary, watch  # noqa: PLC0415
        from outpace.tuner import api  # noqa: PLC0415

        with watch.watching(quiet=quiet) as observer:
            results = api.check(paths or [Path()], observer=observer)
        return Answer(
            payloads.checked(results),
            lambda console: summary.show_checks(console, results),
            of_checks(r.status for r in results),
        )

    respond(work, as_json=as_json)
