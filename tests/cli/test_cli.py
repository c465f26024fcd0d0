"""The contract with scripts: JSON on stdout, one line for an error, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from outpace.errors import ContractError, EnvironmentError_, StorageError
from outpace.model import Speedup, Status
from outpace.tuner import api
from outpace.tuner.events import Ended, Message, Moved, Planned, Progress, Timed


def test_tune_prints_the_promised_json(outpace_json, fake_api, make, reference):
    won = make.trial("faster", speedup=12.0, reason="confirmed")
    lost = make.trial("wrong", idea="bad", workload="", reason="out[3] differs")
    fake_api.result = make.result(won, lost, promotion=make.promotion(), path=Path("/p/key"))
    code, answer = outpace_json("tune", reference)
    assert code == 0
    campaign = {"schema", "reference", "target", "trials", "promotion"}
    assert set(answer) == campaign | {"spent", "loop", "on_ranks"}
    assert answer["schema"] == "outpace.tune/1"
    assert answer["reference"] == "module:scale"
    assert answer["target"]["cores"] == make.target.cores
    assert answer["trials"][0] == {
        "draft": won.draft,
        "language": "numba",
        "params": {},
        "workload": "large",
        "status": "faster",
        "reason": "confirmed",
        "speedup": pytest.approx({"median": 12.0, "low": 10.8, "high": 13.2}),
        "grade": "D",
        "counterexample": None,
        "tokens": None,
        "cost": None,
        "roofline": None,
    }
    assert answer["trials"][1]["speedup"] is None
    assert answer["promotion"] == {
        "path": "/p/key",
        "language": "numba",
        "ranks": 1,
        "speedup": pytest.approx({"median": 12.34, "low": 11.106, "high": 13.574}),
    }


@pytest.mark.parametrize(
    ("statuses", "code"), [([], 0), (["wrong", "not-faster"], 0), (["wrong", "inconclusive"], 3)]
)
def test_tune_without_a_winner(outpace_json, fake_api, make, reference, statuses, code):
    fake_api.result = make.result(*(make.trial(s, idea=s) for s in statuses))
    got, answer = outpace_json("tune", reference)
    assert (got, answer["promotion"]) == (code, None)


def test_tune_is_a_success_where_another_finalist_was_inconclusive(
    outpace, fake_api, make, reference
):
    trials = make.trial("inconclusive"), make.trial("faster", idea="other", speedup=2.0)
    fake_api.result = make.result(*trials, promotion=make.promotion(), path=Path("x"))
    assert outpace("tune", reference).exit_code == 0


@pytest.mark.parametrize("verdict", [*Status, None])
def test_judge_succeeds_only_for_faster(
    outpace_json, fake_api, make, reference, draft_file, verdict
):
    fake_api.result = make.result(verdict=verdict)
    code, answer = outpace_json("judge", reference, draft_file)
    assert code == {Status.FASTER: 0, Status.INCONCLUSIVE: 3, Status.CHECKED: 3}.get(verdict, 1)
    assert answer["verdict"] == (None if verdict is None else verdict.value)
    assert answer["schema"] == "outpace.tune/1"


def test_judge_hands_over_the_draft(outpace_json, fake_api, make, reference, draft_file):
    promotion = make.promotion()
    fake_api.result = make.result(verdict=Status.FASTER, promotion=promotion, path=None)
    _, answer = outpace_json("judge", reference, draft_file, "--dry-run", "--workload", "small")
    (call,) = fake_api.calls
    assert call["draft"].source == Path(draft_file).read_text()
    assert call["dry_run"]
    assert call["workloads"] == ("small",)
    assert answer["promotion"] is None


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 0),
        (["faster"], 0),
        (["faster", "inconclusive"], 3),
        (["inconclusive", "not-faster"], 1),
        (["crashed"], 1),
    ],
)
def test_check(outpace_json, fake_api, statuses, code):
    fake_api.result = [
        api.CheckResult(Path("/p"), "m:f", Status(s), "why", Speedup(2.0, 1.5, 2.5))
        for s in statuses
    ]
    got, answer = outpace_json("check")
    assert got == code
    assert fake_api.calls[0]["paths"] == [Path()]
    expected = {
        "path": "/p",
        "reference": "m:f",
        "reason": "why",
        "speedup": {"median": 2.0, "low": 1.5, "high": 2.5},
    }
    assert answer == {
        "schema": "outpace.check/1",
        "results": [{**expected, "status": s} for s in statuses],
    }


def test_tune_options_reach_the_tuner(outpace, fake_api, make, reference):
    fake_api.result = make.result()
    done = outpace(
        "tune", reference, "--drafter", "replay", "--language", "numba,c", "--language", "cuda",
        "--workload", "small", "--budget", "12 drafts", "--fresh", "--promoted", "elsewhere",
        "--strategy", "random",
    )  # fmt: skip
    assert done.exit_code == 0
    (call,) = fake_api.calls
    del call["observer"]
    assert call.pop("reference").name.endswith(":scale")
    assert call == {
        "drafter": "replay",
        "languages": ("numba", "c", "cuda"),
        "workloads": ("small",),
        "budget": api.Budget(drafts=12),
        "fresh": True,
        "promoted": Path("elsewhere"),
        "accept_risk": False,
        "strategy": "random",
        "model": None,
        "on_gpu": False,
        "ranks": (),
    }


def test_an_unknown_strategy_is_refused_before_any_work(outpace, reference):
    done = outpace("tune", reference, "--strategy", "annealing")
    assert done.exit_code == 2
    assert "no strategy 'annealing'; there are surrogate" in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ContractError("the dims\n  do not bind"), 2),
        (StorageError("the dims do not bind"), 4),
        (EnvironmentError_("the dims do not bind"), 4),
    ],
)
def test_an_error_is_one_line_and_an_object(outpace, fake_api, reference, error, code):
    fake_api.result = error
    plain = outpace("tune", reference)
    assert (plain.exit_code, plain.stdout) == (code, "")
    assert plain.stderr == "error: the dims do not bind\n"
    done = outpace("tune", reference, "--json")
    assert done.exit_code == code
    assert done.stderr == plain.stderr
    assert json.loads(done.stdout) == {
        "schema": "outpace.error/1",
        "error": "the dims do not bind",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tune", "absent.py:fn"], "no such file: absent.py"),
        (["tune", "absent.py"], "write FILE.py:fn or package.module:fn"),
        (["tune", "{module}:absent"], "has no function 'absent'"),
        (["tune", "{module}:undecorated"], "@outpace.optimize"),
        (["tune", "{module}:scale", "--budget", "much"], "write minutes (5, 5m, 90s)"),
        (["tune", "{module}:scale", "--language", "numba,"], "--language a,b"),
        (["judge", "{module}:scale", "absent.py"], "absent.py cannot be read"),
        (["judge", "{module}:scale", "draft.py", "--language", "cobol"], "no language 'cobol'"),
        (["list", "absent"], "no such file or folder: absent"),
    ],
)
@pytest.mark.usefixtures("draft_file")
def test_bad_input_says_what_was_wrong(outpace, fake_api, reference, arguments, message):
    module = reference.partition(":")[0]
    done = outpace(*(a.format(module=module) for a in arguments))
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not fake_api.calls


def test_ctrl_c_says_how_to_go_on(outpace, fake_api, reference):
    fake_api.result = KeyboardInterrupt()
    done = outpace("tune", reference)
    assert done.exit_code == 130
    assert done.stderr.startswith("interrupted; nothing is lost, the same command goes on")


def test_an_unexpected_exception_is_owned_and_kept(outpace, fake_api, reference, tmp_path):
    fake_api.result = RuntimeError("no idea")
    done = outpace("tune", reference)
    assert done.exit_code == 70
    assert "bug of outpace (RuntimeError: no idea)" in done.stderr
    (kept,) = (tmp_path / "xdg/state/outpace/crashes").iterdir()
    assert str(kept) in done.stderr
    assert "Traceback" in kept.read_text()


def test_an_unexpected_exception_is_shown_where_it_cannot_be_kept(
    outpace, fake_api, reference, tmp_path
):
    (tmp_path / "xdg").write_text("a file where a folder should be")
    fake_api.result = RuntimeError("no idea")
    done = outpace("tune", reference)
    assert done.exit_code == 70
    assert "Traceback" in done.stderr


def test_a_module_that_exits_is_an_error(outpace, write_reference):
    done = outpace("tune", write_reference("raise SystemExit(0)"))
    assert done.exit_code == 2
    assert "raises while it is imported: SystemExit: 0" in done.stderr


NOISE = """
import ctypes, os, subprocess
print("noise by print")
os.write(1, b"noise by write\\n")
ctypes.CDLL(None).puts(b"noise by puts")
subprocess.run(["echo", "noise by child"], check=True)
"""


def test_noise_of_the_reference_stays_off_stdout(write_reference):
    program = "from outpace.cli import main; main()"
    arguments = ["explain", write_reference(NOISE), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == "outpace.explain/1"
    assert done.stderr.count("noise by") == 4


def test_progress_is_plain_lines_where_stderr_is_no_terminal(outpace, fake_api, make, reference):
    fake_api.events = [
        Planned("loops [tile=8]", "v1", "numba"),
        Moved("v1", "screening"),
        Timed("v1", "large", 3.0),
        Progress(1, 2, "process pairs"),
        Message("the reference is slow", "warning"),
        Ended("v1", make.trial("not-faster", speedup=0.98, reason="slower")),
    ]
    fake_api.result = make.result()
    done = outpace("tune", reference)
    assert done.stderr == (
        "warning: the reference is slow\n"
        "loops [tile=8]  large  not-faster  0.98x [0.88x, 1.08x]  slower\n"
    )
    assert outpace("tune", reference, "--quiet").stderr == "warning: the reference is slow\n"


def test_help_of_every_command_has_an_example(outpace):
    commands = ("tune", "run", "judge", "list", "check", "explain", "draft", "doctor")
    helps = {name: outpace(name, "--help") for name in commands}
    assert all(done.exit_code == 0 for done in helps.values())
    assert all(f"outpace {name}" in done.stdout for name, done in helps.items())


def test_version(outpace):
    assert outpace("--version").stdout.startswith("outpace ")


def test_the_program_starts_light():
    program = (
        "import sys, outpace.cli.app;"
        "print([m for m in ('numpy', 'numba', 'jaxtyping', 'rich.table') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
