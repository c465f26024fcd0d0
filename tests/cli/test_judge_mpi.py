"""`outpace judge --language mpi`: drafts for ranks, checked and not timed."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from outpace.cli.app import app
from outpace.cli.options import parse_ranks

FAULTS = Path(__file__).parents[1] / "mpi_faults"
HEAT = f"{FAULTS / 'references.py'}:heat"


@pytest.fixture
def judged(tmp_path):
    """Judges a planted draft, without the line that says what is expected of it."""

    def judge(name: str, *options: str):
        _, text = (FAULTS / "drafts" / f"{name}.py").read_text().split("\n", 1)
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        return CliRunner().invoke(app, ["judge", HEAT, str(path), "--language", "mpi", *options])

    return judge


@pytest.mark.parametrize(
    ("draft", "code", "said"),
    [
        ("heat_right", 3, "checked on ranks and not timed"),
        ("rank_0_does_everything", 1, "bytes; with the declared split it needs no more than"),
    ],
)
def test_drafts_for_ranks_are_judged_from_a_file(judged, draft, code, said):
    answer = judged(draft)
    assert answer.exit_code == code
    assert said in answer.stdout.replace("\n", " ")


def test_a_case_is_for_serial_drafts(judged):
    answer = judged("heat_right", "--case", '{"sizes": {"y": 9, "x": 9, "steps": 1}, "seed": 0}')
    assert answer.exit_code == 2
    assert "cannot be run on a single case" in answer.stderr.replace("\n", " ")


def test_a_reference_that_names_no_split_is_refused():
    library = Path(__file__).parents[2] / "kernels" / "library" / "genomics.py"
    draft = str(FAULTS / "drafts" / "heat_right.py")
    command = ["judge", f"{library}:smith_waterman", draft, "--language", "mpi"]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 2
    assert "names no dim that may be cut over ranks" in answer.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["tune", HEAT, "--ranks", "2"], "numbers of ranks belong to the language mpi"),
        (["tune", HEAT, "--language", "mpi,c", "--ranks", "2"], "which is tuned by itself"),
        (["tune", HEAT, "--language", "mpi", "--ranks", "0"], "is no number of ranks"),
        (["tune", HEAT, "--language", "mpi", "--ranks", "3..2"], "write the smaller number first"),
        (["tune", HEAT, "--language", "mpi", "--ranks", "1..x"], "is no number of ranks"),
    ],
)
def test_ranks_are_for_programs_and_numbers(command, said):
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 2
    assert said in " ".join(answer.stderr.split())


def test_ranks_are_read():
    assert parse_ranks("1,2") == (1, 2)
    assert parse_ranks("1..4") == (1, 2, 3, 4)
    assert parse_ranks("2, 1..3") == (2, 1, 3)
