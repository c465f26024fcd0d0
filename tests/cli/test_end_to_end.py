"""The real program, in processes of its own, on a real reference; only the load is made up."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

MODULE = """
import numpy as np
from jaxtyping import Float64

import outpace

print("NOISE of the module")


@outpace.optimize(workloads={"only": {"n": 16_000}})
def running(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    print("NOISE of the reference")
    out = np.empty_like(u)
    last = 0.0
    for i in range(u.size):
        last = 0.5 * last + u[i]
        out[i] = last
    return out


@outpace.optimize(workloads={"only": {"n": 3000}})
def ordered(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.sort(u)  # what Numba compiles is slower, and not worth confirming


@outpace.optimize(workloads={"only": {"n": 3000}})
def bare(u):
    return u


@outpace.optimize(workloads={"only": {"n": 10**13}})
def vast(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return 2.0 * u + 1.0


def broken(sizes, rng):
    raise LookupError("no such data set")


@outpace.optimize(workloads={"only": {"n": 3000}}, inputs=broken)
def starved(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return 2.0 * u
"""

GOOD = """
import numba


@numba.njit
def kernel(u, out):
    last = 0.0
    for i in range(u.size):
        last = 0.5 * last + u[i]
        out[i] = last
"""

WRONG = {
    "def kernel(u, out):\n    out[:] = u\n": "wrong",
    "def kernel(u, out:\n": "build-failed",
    "import numba\n@numba.njit\ndef kernel(u, out):\n    out[:] = u.colour\n": "build-failed",
    "def kernel(u):\n    return u\n": "invalid",
    "import os\ndef kernel(u, out):\n    os._exit(0)\n": "crashed",
    "import ctypes\ndef kernel(u, out):\n    ctypes.string_at(0)\n": "crashed",
    "import numpy as np\ndef kernel(u, out):\n    np.ones(10**11 // 8)\n": "over-limit",
}

_SERVED = """
import numpy as np
from references import running

u = np.linspace(-1, 1, 16_000)
print(running.explain(u))
assert np.array_equal(running(u), running.reference.fn(u))
"""


# What runs beside the tests must not make an answer inconclusive.
PROGRAM = """
from outpace.cli import main
from outpace.model import Conditions
from outpace.tuner.conditions import Watch

Watch.conditions = lambda _: Conditions()
main()
"""


def start(*arguments):
    """The program in a session of its own, as a shell would start it."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        start_new_session=True,
        # A job in the background ignores Ctrl-C, and would hand that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def finish(process):
    """Exit code, stdout and stderr; a hang is a failure."""
    out, err = process.communicate(timeout=240)
    assert "Traceback" not in err
    return process.returncode, out, err


def outpace_json(*arguments):
    code, out, err = finish(start(*arguments, "--json"))
    return code, json.loads(out), err


@pytest.fixture(autouse=True)
def module():
    Path("references.py").write_text(MODULE)


@pytest.fixture
def draft():
    def write(source):
        Path("mine.py").write_text(source)
        return Path("mine.py")

    return write


def run_python(program):
    return subprocess.run(
        [sys.executable, "-W", "default", "-c", program], capture_output=True, text=True, check=True
    )


def family(process):
    """The program and the processes of drafts and references that it has started."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def wait_for_a_worker(program):
    """Processes of a running campaign, once there are any besides the program."""
    for _ in range(6000):
        found = family(psutil.Process(program.pid))
        if len(found) > 1:
            return found
        assert program.poll() is None, program.communicate()
        time.sleep(0.01)
    raise AssertionError("no process was started within a minute")


@pytest.mark.alone
def test_a_winner_is_promoted_served_checked_and_defended(draft):
    code, answer, err = outpace_json("judge", "references.py:running", draft(GOOD))
    assert (code, answer["schema"], answer["verdict"]) == (0, "outpace.tune/1", "faster"), err
    assert answer["reference"] == "references:running"
    (trial,) = answer["trials"]
    assert {"draft", "language", "params", "workload", "status", "reason", "speedup"} <= set(trial)
    assert (trial["status"], trial["workload"], trial["params"]) == ("faster", "only", {})
    promotion = answer["promotion"]
    assert promotion["language"] == "numba"
    assert 1.02 < promotion["speedup"]["low"] <= promotion["speedup"]["median"]
    folder = Path(promotion["path"])
    assert sorted(p.name for p in folder.iterdir()) == ["draft.py", "promotion.json"]

    assert f"promotion {folder}: mine" in run_python(_SERVED).stdout

    code, answer, err = outpace_json("check")
    assert (code, answer["schema"]) == (0, "outpace.check/1"), err
    (result,) = answer["results"]
    assert result["status"] == "faster"
    assert (result["path"], result["reference"]) == (str(folder), "references:running")
    assert result["speedup"]["low"] > 1

    edited = folder / "draft.py"
    edited.write_text(edited.read_text().replace("0.5", "0.4"))
    served = run_python(_SERVED)
    assert "reference: a promotion is ignored" in served.stdout
    assert "PromotionWarning" in served.stderr
    code, answer, _ = outpace_json("check", edited)
    assert (code, answer["results"][0]["status"]) == (1, "invalid")


@pytest.mark.parametrize(("source", "status"), WRONG.items(), ids=range(len(WRONG)))
def test_a_draft_that_does_not_do_is_a_verdict(draft, source, status):
    code, answer, err = outpace_json("judge", "references.py:running", draft(source))
    assert (code, answer["verdict"], answer["promotion"]) == (1, status, None), err
    (trial,) = answer["trials"]
    assert trial["reason"]
    assert "nopython mode" not in trial["reason"]
    assert not Path("promoted").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("tune", "nowhere.py:f"), 2, "no such file: nowhere.py"),
        (("tune", "references.py:f"), 2, "references.py has no function 'f'; it has running"),
        (("tune", "references.py:bare"), 2, "write `u: Float64"),
        (("tune", "references.py:vast"), 2, "does not fit into the memory .* smaller sizes"),
        (("tune", "references.py:starved"), 2, r"inputs\(...\) raises LookupError: no such data"),
        (("tune", "references.py:running", "--workload", "x"), 2, "no workload 'x'"),
        (("judge", "references.py:running", "gone.py"), 2, "draft gone.py cannot be read"),
        (("check", "references.py"), 2, "no promotion under references.py"),
        (("tune", "references.py:running", "--promoted", "references.py"), 4, "not a folder"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(arguments, code, message):
    got, answer, err = outpace_json(*arguments)
    assert (got, answer["schema"]) == (code, "outpace.error/1")
    assert re.search(message, answer["error"])
    assert err.splitlines()[-1] == f"error: {answer['error']}"


def test_ctrl_c_ends_everything_and_the_same_command_goes_on():
    command = ("tune", "references.py:ordered", "--budget", "1 draft", "--json")
    program = start(*command)
    processes = wait_for_a_worker(program)
    os.killpg(program.pid, signal.SIGINT)
    code, out, err = finish(program)
    assert (code, json.loads(out)["schema"]) == (130, "outpace.error/1")
    assert err.splitlines()[-1].startswith("interrupted; nothing is lost")
    assert psutil.wait_procs(processes, timeout=30)[1] == []

    code, out, err = finish(start(*command))
    assert code in (0, 3), err  # what the clock says on a busy machine is not the point here
    assert json.loads(out)["trials"]


def test_a_killed_campaign_leaves_no_process_and_can_be_run_again(draft):
    source, status = next(iter(WRONG.items()))
    command = ("judge", "references.py:running", draft(source), "--json")
    program = start(*command)
    processes = wait_for_a_worker(program)
    program.kill()
    program.communicate()
    assert psutil.wait_procs(processes, timeout=30)[1] == []

    code, out, err = finish(start(*command))
    assert (code, json.loads(out)["verdict"]) == (1, status), err


def test_ctrl_c_while_the_program_starts_shows_no_traceback(monkeypatch, tmp_path):
    # A module that is interrupted while it is imported stands for the first half second.
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, out, err = finish(start("list"))
    assert (code, out) == (130, "")
    assert err.startswith("interrupted")
