"""A wrong draft's report says how to see the failure again, and that can be done."""

import shlex
from pathlib import Path

import pytest

from outpace.codegen.inputs import Case
from outpace.model import Mismatch

WRONG = "def kernel(u, factor, out):\n    out[:] = u * factor\n    out[4:] = 0\n"


@pytest.fixture
def wrong_file():
    path = Path("wrong draft.py")
    path.write_text(WRONG)
    return path


def test_what_the_report_says_shows_the_failure_again(outpace, outpace_json, reference, wrong_file):
    judged = outpace("judge", reference, wrong_file, "--dry-run", "--quiet")
    assert judged.exit_code == 1
    (line,) = (line for line in judged.stdout.splitlines() if "to see it again" in line)
    command = shlex.split(line.partition(": ")[2])
    assert command[:4] == ["outpace", "judge", reference, str(wrong_file)]

    again = outpace(*command[1:])
    assert again.exit_code == 1
    assert "n=5" in again.stdout
    code, answer = outpace_json(*command[1:])
    assert (code, answer["schema"], answer["accepted"]) == (1, "outpace.case/1", False)
    assert answer["case"]["sizes"] == {"n": 5}
    assert answer["trial"]["counterexample"]["mismatch"]["index"] == [4]

    wrong_file.write_text(WRONG.replace("out[4:] = 0", ""))
    mended = outpace(*command[1:])
    assert mended.exit_code == 0
    assert "accepted" in mended.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--case", '{"sizes": {"m": 1}}'], "its sizes must be n"),
        (["--case", '{"sizes": {"n": 1}}', "--params", "[1]"], "--params '[1]'"),
        (["--case", '{"sizes": {"n": 1}}', "--params", '{"T": 1}'], "the draft has no parameters"),
        (["--params", '{"T": 1}'], "--params belongs to --case"),
    ],
)
def test_cases_that_cannot_be_run(outpace, reference, draft_file, options, message):
    done = outpace("judge", reference, draft_file, *options)
    assert done.exit_code == 2
    assert message in done.stderr


def test_the_json_of_a_wrong_trial_holds_its_case(outpace_json, fake_api, make, reference):
    case = Case({"n": 5}, 1, "sorted")
    mismatch = Mismatch("out", (4,), 0.5, float("nan"), 1e-16)
    wrong = make.trial("wrong", counterexample=case.counterexample(mismatch))
    fake_api.result = make.result(wrong)
    _, answer = outpace_json("tune", reference)
    assert answer["trials"][0]["counterexample"] == {
        "case": {"sizes": {"n": 5}, "seed": 1, "flavour": "sorted", "scalars": {}},
        "mismatch": {
            "output": "out", "index": [4], "expected": 0.5, "got": "nan", "allowed": 1e-16,
            "count": 1,
        },
    }  # fmt: skip
