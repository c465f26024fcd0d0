"""The program: its commands and its global options."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

from outpace.cli.build import build
from outpace.cli.check import check
from outpace.cli.check_annotation import check_annotation
from outpace.cli.ci import ci
from outpace.cli.doctor import doctor
from outpace.cli.draft import draft
from outpace.cli.eject import eject
from outpace.cli.explain import explain
from outpace.cli.export import export
from outpace.cli.init import init
from outpace.cli.judge import judge
from outpace.cli.listing import list_promotions
from outpace.cli.mpi_check import mpi_check
from outpace.cli.report import report
from outpace.cli.run import run
from outpace.cli.scale import scale
from outpace.cli.serve_mcp import serve_mcp
from outpace.cli.simulate import simulate
from outpace.cli.tune import tune

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 incorrect or regressed, 2 usage, 3 inconclusive, 4 environment.",
)

_HDIFF = "kernels/library/climate.py:hdiff"

app.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: outpace init simulate.py --steps 100",
)(init)
app.command(epilog=f"Example: outpace tune {_HDIFF} --budget 5m")(tune)
app.command(epilog=f"Example: outpace judge {_HDIFF} my_hdiff.py --dry-run")(judge)
app.command("list", epilog="Example: outpace list kernels")(list_promotions)
app.command(epilog="Example: outpace check kernels --json")(check)
app.command("check-annotation", epilog=f"Example: outpace check-annotation {_HDIFF}")(
    check_annotation
)
app.command(epilog="Example: outpace ci --base origin/main --junit outpace.xml")(ci)
app.command(epilog="Example: outpace build kernels --into /shared/builds")(build)
app.command(epilog=f"Example: outpace eject {_HDIFF} --out fast_hdiff")(eject)
app.command(epilog=f"Example: outpace explain {_HDIFF}")(explain)
app.command(epilog=f"Example: outpace draft {_HDIFF} --out campaign")(draft)
app.command(epilog="Example: outpace run campaign --budget 10m")(run)
app.command(epilog="Example: outpace simulate recorded.json.gz --budget 200")(simulate)
app.command(epilog="Example: outpace export --format sft --out data --license Apache-2.0")(export)
app.command(
    "mpi-check",
    context_settings={"ignore_unknown_options": True},
    epilog="Example: outpace mpi-check ring.py -n 1,2,3,7",
)(mpi_check)
app.command(epilog="Example: outpace scale heat.py:heat --ranks 1..256 --plot heat.svg")(scale)
app.command("serve-mcp", epilog=f"Example: outpace serve-mcp {_HDIFF} --language c")(serve_mcp)
app.command(epilog=f"Example: outpace report {_HDIFF} --out hdiff.html")(report)
app.command(epilog="Example: outpace doctor")(doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"outpace {importlib.metadata.version('outpace')}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Turn annotated Python reference functions into kernels that are proved right and faster."""
    del version  # its callback has acted
