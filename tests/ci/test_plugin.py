"""`pytest --outpace` and the fixture `outpace_benchmark`, in a pytest of their own."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN = """
from {name} import {name}


def test_own(outpace_benchmark):
    outpace_benchmark({name})
"""


def run_pytest(folder, *options):
    """A pytest with the plugin, which an installation made before it existed does not name."""
    named = importlib.metadata.entry_points(group="pytest11", name="outpace")
    plugin = [] if named else ["-p", "outpace.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", *plugin, "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


def test_the_plugin_is_an_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"outpace": "outpace.pytest_plugin"}


def test_promotions_and_own_benchmarks_are_stored_as_pytest_benchmark_does(scratch):
    Path("test_own.py").write_text(OWN.format(name=scratch.name))
    Path("conftest.py").touch()  # makes pytest put this folder on the import path
    done = run_pytest(scratch.folder, "--outpace", "--benchmark-json=stored.json")

    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
    benchmarks = json.loads(Path("stored.json").read_text())["benchmarks"]
    by_name = {one["name"]: one for one in benchmarks}
    promoted = by_name.pop(f"{scratch.module.name}:{scratch.name}[only]")
    assert list(by_name) == ["test_own"]
    for one in (promoted, by_name["test_own"]):
        assert one["extra_info"]["runs"] == "promotion"
        assert one["stats"]["rounds"] >= 5

    compare = [Path(sys.executable).with_name("pytest-benchmark"), "compare", "stored.json"]
    told = subprocess.run(compare, check=True, capture_output=True, text=True)
    assert "[only]" in told.stdout


def test_wrong_and_damaged_promotions_fail(scratch):
    wrong = scratch.promote(constant="1.001")
    other = wrong.with_name("0123456789abcdef")
    other.mkdir()
    (other / "promotion.json").write_text("{}")
    done = run_pytest(scratch.folder, "--outpace", "-k", "verify")
    assert done.returncode == 1
    assert "2 failed" in done.stdout
    assert "in C is wrong" in done.stdout
    assert "0123456789abcdef/promotion.json" in done.stdout


def test_without_its_option_nothing_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n"
        "HEAVY = ('numba', 'jaxtyping', 'cupy', 'mpi4py', 'outpace.codegen', 'outpace.tuner')\n"
        "def test_nothing():\n"
        "    assert 'outpace.pytest_plugin' in sys.modules\n"
        "    assert not [name for name in HEAVY if name in sys.modules]\n"
    )
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # others load jaxtyping
    command = [sys.executable, "-m", "pytest", "-q", "-p", "outpace.pytest_plugin"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("option", ["--outpace", "test_own.py"])
def test_without_pytest_benchmark_it_says_what_to_install(tmp_path, option):
    (tmp_path / "test_own.py").write_text("def test_own(outpace_benchmark): ...\n")
    done = run_pytest(tmp_path, option, "-p", "no:benchmark")
    assert done.returncode != 0
    assert "pip install 'outpace[ci]'" in done.stdout + done.stderr
