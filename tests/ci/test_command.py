"""`outpace ci`: exit codes and reports."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from outpace.cli.app import app
from outpace.model import Counterexample, Mismatch, Speedup, Status, Trial
from outpace.tuner.ci import regression
from outpace.tuner.ci.regression import Finding, Report
from outpace.tuner.ci.rule import Colour, PairRatios, Round

WRONG = Trial(
    "0123456789abcdef",
    "c",
    {"TILE": 8},
    "",
    Status.WRONG,
    "wrong at n=3: out[0] is 1.0, expected 2.0 within 1e-12 (1 elements differ)",
    counterexample=Counterexample({"n": 3}, 7, "plain", Mismatch("out", (0,), 2.0, 1.0, 1e-12), {}),
    label="in C",
)
ROUND = Round(False, None, (PairRatios(1.0, 1.0, 1.1), PairRatios(1.01, 1.0, 1.1, "heat")))
TIMED = Speedup(1.0, 0.98, 1.02)
GREEN = Finding("heat.py:step", "small", Colour.GREEN, "1x", TIMED, rounds=(ROUND,))
RED = Finding("heat.py:flux", None, Colour.RED, f"promotion in C is {WRONG.reason}", trial=WRONG)
UNKNOWN = Finding("heat.py:step", "large", Colour.INCONCLUSIVE, "a | b <script> [x](y) \x1b[0m")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(monkeypatch):
    """Runs the command where the comparison finds what is given."""

    def run(*findings, options=(), notes=()):
        report = Report("b" * 40, "h" * 40, findings, notes)
        monkeypatch.setattr(regression, "compare", lambda *_, **__: report)
        return CliRunner().invoke(app, ["ci", "--base", "main", *options])

    return run


@pytest.mark.parametrize(
    ("findings", "code"),
    [((GREEN,), 0), ((GREEN, RED), 1), ((GREEN, UNKNOWN), 3), ((RED, UNKNOWN), 1)],
)
def test_exit_codes(run, findings, code):
    assert run(*findings).exit_code == code


def test_people_are_told_what_is_wrong_and_how_to_see_it(run):
    said = " ".join(run(GREEN, RED, notes=("a note",)).stdout.split())
    assert 'outpace judge heat.py:flux DRAFT --case \'{"sizes": {"n": 3}' in said
    assert "--params '{\"TILE\": 8}'" in said
    assert "note: a note" in said
    assert "red: something is wrong or slower in hhhhhhhhhhhh against bbbbbbbbbbbb" in said


def test_json(run):
    answer = json.loads(run(GREEN, RED, options=["--json"]).stdout)
    assert answer["schema"] == "outpace.ci/1"
    assert answer["colour"] == "red"
    timed, wrong = answer["findings"]
    assert timed["ratio"] == {"median": 1.0, "low": 0.98, "high": 1.02}
    assert timed["rounds"][0]["pairs"][1]["disturbed"] == "heat"
    assert wrong["trial"]["counterexample"]["case"]["sizes"] == {"n": 3}


def test_junit(run):
    run(GREEN, RED, UNKNOWN, options=["--junit", "out.xml"])
    suite = ET.parse("out.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    green, red, unknown = suite.findall("testcase")
    assert green.get("name") == "small"
    assert green.find("failure") is None
    assert "expected 2.0" in red.find("failure").get("message")
    assert "\\x1b" in unknown.find("error").get("message")


def test_markdown_shows_text_as_text(run, monkeypatch):
    Path("summary.md").write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    run(UNKNOWN, options=["--markdown", "comment.md"])
    text = Path("comment.md").read_text()
    assert Path("summary.md").read_text() == f"before\n{text}"
    (row,) = [line for line in text.splitlines() if "large" in line]
    assert "a \\| b &lt;script&gt; \\[x\\](y)" in row


def test_a_report_that_cannot_be_written_is_said_before_any_work(run):
    done = run(GREEN, options=["--junit", "nowhere/out.xml"])
    assert done.exit_code == 4
    assert "there is no folder nowhere" in done.stderr
