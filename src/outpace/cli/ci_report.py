"""What `outpace ci` says: for people, for pull requests, and for machines."""

from __future__ import annotations

import html
import json
import shlex
import xml.etree.ElementTree as ET  # only written, never read
from typing import TYPE_CHECKING, Any

from outpace.cli import payloads, style
from outpace.codegen.visible import shown
from outpace.tuner.ci.rule import REGRESSION, Colour, Round

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.model import Trial
    from outpace.tuner.ci.regression import Finding, Report

_HEADLINES = {
    Colour.GREEN: "nothing is wrong or slower",
    Colour.RED: "something is wrong or slower",
    Colour.INCONCLUSIVE: "this machine cannot tell",
}
_MARKS = {
    Colour.GREEN: ":white_check_mark:",
    Colour.RED: ":x:",
    Colour.INCONCLUSIVE: ":grey_question:",
}
_STYLES = {Colour.GREEN: "green", Colour.RED: "red", Colour.INCONCLUSIVE: "yellow"}


def payload(report: Report) -> dict[str, Any]:
    """`outpace.ci/1`."""
    return {
        "schema": "outpace.ci/1",
        "base": report.base,
        "head": report.head,
        "colour": report.colour.value,
        "regression": REGRESSION,
        "findings": [_finding(finding) for finding in report.findings],
        "notes": list(report.notes),
    }


def show(console: Console, report: Report) -> None:
    """A table, and how to see wrong results again."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("function", "workload", "answer", "head/base", "why"):
        table.add_column(name, overflow="fold")
    for f in report.findings:
        table.add_row(
            Text(f.function),
            Text(f.workload or ""),
            Text(f.colour.value, style=_STYLES[f.colour]),
            Text(_ratio(f)),
            Text(shown(f.reason)),
        )
    console.print(table)
    for command in _commands(report):
        console.print(Text(f"to see it again: {command}", style="dim"), soft_wrap=True)
    for note in report.notes:
        console.print(Text(f"note: {shown(note)}", style="dim"), soft_wrap=True)
    end = Text.assemble(
        (report.colour.value, _STYLES[report.colour]),
        f": {_HEADLINES[report.colour]} in {report.head[:12]} against {report.base[:12]}",
    )
    console.print(end, soft_wrap=True)


def markdown(report: Report) -> str:
    """The same as a comment on a pull request."""
    what = (
        f"`{report.head[:12]}` against `{report.base[:12]}`; slower means above {REGRESSION} of "
        "the base's time in two independent rounds."
    )
    lines = [
        f"### {_MARKS[report.colour]} outpace: {_HEADLINES[report.colour]}",
        "",
        what,
        "",
        "| | function | workload | head/base | why |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {_MARKS[f.colour]} | {_cell(f.function)} | {_cell(f.workload or '')} | {_ratio(f)} "
        f"| {_cell(f.reason)} |"
        for f in report.findings
    ]
    commands = _commands(report)
    if commands:
        lines += ["", "To see wrong results again:", "", *_indented(commands)]
    if report.notes:
        lines += ["", *(f"- {_cell(note)}" for note in report.notes)]
    return "\n".join([*lines, ""])


def junit(report: Report) -> str:
    """The same as JUnit XML: red is a failure, inconclusive an error."""
    colours = [f.colour for f in report.findings]
    suite = ET.Element(
        "testsuite",
        name="outpace ci",
        tests=str(len(colours)),
        failures=str(colours.count(Colour.RED)),
        errors=str(colours.count(Colour.INCONCLUSIVE)),
    )
    for f in report.findings:
        name = f.workload or "promotions"
        case = ET.SubElement(suite, "testcase", classname=shown(f.function), name=shown(name))
        kind = {Colour.RED: "failure", Colour.INCONCLUSIVE: "error"}.get(f.colour)
        if kind is not None:
            ET.SubElement(case, kind, message=shown(f.reason))
        ET.SubElement(case, "system-out").text = shown(f.reason)
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _finding(f: Finding) -> dict[str, Any]:
    return {
        "function": f.function,
        "workload": f.workload,
        "colour": f.colour.value,
        "reason": f.reason,
        "ratio": payloads.speedup(f.ratio),
        "trial": None if f.trial is None else payloads.of_trial(f.trial),
        "rounds": [_round(one) for one in f.rounds],
    }


def _round(one: Round) -> dict[str, Any]:
    pairs = [
        {"head": p.head, "again": p.again, "slowed": p.slowed, "disturbed": p.disturbed}
        for p in one.pairs
    ]
    return {"slower": one.slower, "void": one.void, "pairs": pairs}


def _ratio(f: Finding) -> str:
    return "" if f.ratio is None else style.interval(f.ratio)


def _commands(report: Report) -> list[str]:
    """How to run a wrong promotion again on what it was wrong on."""
    return [
        f"outpace judge {shlex.quote(f.function)} DRAFT {_options(f.trial)}"
        for f in report.findings
        if f.trial is not None and f.trial.counterexample is not None
    ]


def _options(trial: Trial) -> str:
    from outpace.codegen.inputs import Case  # noqa: PLC0415

    assert trial.counterexample is not None
    options = ["--case", Case.of_counterexample(trial.counterexample).text]
    if trial.params:
        options += ["--params", json.dumps(trial.params)]
    return shlex.join(options)


def _cell(text: str) -> str:
    """Text that means nothing to Markdown, within a table: it may come from what is judged."""
    plain = html.escape(" ".join(shown(text).split()), quote=False)
    return "".join(f"\\{c}" if c in "\\`*_[]|~@#!" else c for c in plain)


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]
