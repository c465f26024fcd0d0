"""`outpace init` on scripts as people write them, from the command line to the changed script."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from outpace.cli.app import app
from outpace.codegen.reference import load_reference
from outpace.tuner.numerics.selfcheck import check_reference

SCRIPTS = Path(__file__).parent / "scripts"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """A copy of the scripts under a name of its own, so that no test imports another's modules."""
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "xdg" / name.lower()))
    folder = tmp_path / "work"
    shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


def init(*arguments):
    """Exit code and the JSON object of `outpace init`, which is told to leave nothing out."""
    done = CliRunner().invoke(app, ["init", "--json", "--least", "0", *map(str, arguments)])
    return done.exit_code, json.loads(done.stdout)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(answer):
    return {row["function"]: row for row in answer["functions"]}


def assert_change_keeps_output(answer, script, *arguments):
    """Apply the proposed change to the user's files; the script must print what it printed."""
    before = run(sys.executable, script, *arguments)
    Path("proposed.diff").write_text(answer["change"])
    run("git", "apply", "-p0", "proposed.diff")
    assert "_references import" in "".join(p.read_text() for p in Path().rglob("*.py"))
    assert run(sys.executable, script, *arguments) == before


def test_a_method_becomes_a_function_of_its_attributes():
    code, answer = init("shallow_water.py", 30)
    assert code == 0
    reference = load_reference("shallow_water_references.py:step_kernel")
    contract = reference.contract
    assert [a.name for a in contract.arguments] == ["g", "dt", "dx", "u", "h", "v", "depth", "time"]
    assert {a.name: a.dims for a in contract.arguments if a.is_array} == {
        "u": ("n", "m+1"),
        "h": ("n", "m"),
        "v": ("n+1", "m"),
    }
    assert [a.name for a in contract.mutated] == ["u", "v"]
    assert [(o.dims, o.scalar) for o in contract.outputs] == [(("n", "m"), False), (("1",), True)]
    assert {w.name: w.sizes for w in contract.workloads} == {
        "small": {"n": 24, "m": 48},
        "large": {"n": 32, "m": 64},
    }
    assert_change_keeps_output(answer, "shallow_water.py", "30")


def test_globals_become_arguments_and_results():
    code, answer = init("cooling.py")
    assert code == 0
    reference = load_reference("cooling_references.py:update_kernel")
    assert [o.dims for o in reference.contract.outputs] == [("n", "m"), ("n", "m")]
    assert not reference.contract.mutated
    assert rows(answer)["monitor"]["why_not"].startswith(
        "monitor uses the global `history` of type list; a reference takes arrays and numbers"
    )
    assert "one size was seen" in Path("cooling_references.py").read_text()
    assert_change_keeps_output(answer, "cooling.py")


def test_a_package_with_helpers_gets_a_reference_that_holds_them():
    code, answer = init("run_plume.py", "--steps", 5)
    assert code == 0
    reference = load_reference("run_plume_references.py:advect")
    assert list(reference.closure.functions) == ["limited", "slope", "advect"]
    assert [a.dims for a in reference.contract.arguments] == [("n", "m"), ("2", "n", "m"), None]
    assert rows(answer)["smoothed"]["why_not"].startswith(
        "mode is 'periodic'; a reference takes arrays and numbers alone: write one function"
    )
    assert "slope" not in rows(answer)
    assert_change_keeps_output(answer, "run_plume.py", "--steps", "5")


def test_the_proposed_reference_passes_the_check_of_the_judge_again_with_other_seeds():
    init("shallow_water.py", 20)
    reference = load_reference("shallow_water_references.py:step_kernel")
    assert len(check_reference(reference, seed=7, cases=8).cases) >= 6


def test_awkward_names_and_lines_give_an_importable_module_and_a_change_that_runs():
    Path("2d-walk.py").write_text(
        "import numpy as np\nc = 0.5\nu = np.arange(20.0)\n"
        "def shrink(u): return u * c + np.sin(u)\n"
        "print(shrink(u).sum(), shrink(u[:9]).sum())\n"
    )
    code, answer = init("2d-walk.py")
    assert code == 0
    reference = load_reference("_2d_walk_references.py:shrink_kernel")
    assert [a.name for a in reference.contract.arguments] == ["u", "c"]
    assert_change_keeps_output(answer, "2d-walk.py")


def test_a_script_that_fails_ends_with_its_own_status_and_writes_nothing():
    Path("fails.py").write_text("import sys\nsys.exit(7)\n")
    code, answer = init("fails.py")
    assert code == 7
    assert answer["error"] == "fails.py ended with exit status 7, so nothing was proposed"
    assert not Path("fails_references.py").exists()


def test_a_script_sees_itself_as_the_main_program(capfd):
    Path("looks.py").write_text(
        "import sys, __main__, helper\n"
        "print(__name__, sys.argv, __main__.__file__ == __file__, helper.value, sys.stdin.read())\n"
    )
    Path("helper.py").write_text("value = 5\n")
    command = [sys.executable, "-m", "outpace.codegen.capture.child", "seen", "looks.py", "-x"]
    done = subprocess.run(
        [command[0], "-P", *command[1:]], input="in", capture_output=True, text=True, check=True
    )
    assert done.stdout == "__main__ ['looks.py', '-x'] True 5 in\n"


def test_references_that_were_proposed_before_are_not_overwritten():
    Path("cooling_references.py").write_text("mine\n")
    code, answer = init("cooling.py")
    assert code == 2
    assert answer["error"].startswith("cooling_references.py exists already; --force replaces it")
    assert Path("cooling_references.py").read_text() == "mine\n"


def test_a_script_that_is_not_there_is_said():
    code, answer = init("absent.py")
    assert (code, answer["error"]) == (2, "no such file: absent.py")
