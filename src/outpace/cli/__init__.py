"""The command line: one module for each command, over the same functions that Python has."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the program; what `outpace` in a shell calls."""
    try:
        from outpace.cli.app import app  # noqa: PLC0415  (`import outpace.cli` stays light)

        app(prog_name="outpace")
    except KeyboardInterrupt:  # while modules were imported: commands answer it themselves
        sys.stderr.write("interrupted before anything was begun\n")
        sys.exit(130)
