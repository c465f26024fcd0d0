"""The command line: one module for each command, over the same functions that Python has."""

from __future__ import annotations


def main() -> None:
    """Run the program; what `outpace` in a shell calls."""
    from outpace.cli.app import app  # noqa: PLC0415  (`import outpace.cli` stays light)

    app(prog_name="outpace")
