"""Processes that are killed, raced against each other and starved of disk."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """Folders of its own for every test; the one of outpace's state."""
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "xdg" / name.lower()))
    monkeypatch.delenv("OUTPACE_PROMOTED", raising=False)
    monkeypatch.delenv("OUTPACE_DISABLE", raising=False)
    return tmp_path / "xdg" / "state" / "outpace"


@pytest.fixture(scope="session")
def faults(tmp_path_factory):
    """The library that makes calls fail."""
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(HERE / "faults.c"), "-ldl"]
    subprocess.run(command, check=True)
    return library


def run_actor(*arguments, before=(), **environment):
    """What a role of actors.py saw."""
    done = subprocess.run(
        [*before, sys.executable, str(HERE / "actors.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def actor():
    return run_actor


@pytest.fixture
def faulty_actor(faults):
    """As `actor`, with calls of the C library that can be made to fail."""

    def run(*arguments):
        return run_actor(*arguments, LD_PRELOAD=str(faults))

    return run


@pytest.fixture(scope="session")
def actors():
    """actors.py as a module."""
    spec = importlib.util.spec_from_file_location("actors", HERE / "actors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def memory(tmp_path_factory):
    """A folder in memory, where there is one: tests that write a thousand times sync as often."""
    shared = Path("/dev/shm")
    if not (shared.is_dir() and os.access(shared, os.W_OK)):
        yield tmp_path_factory.mktemp("memory")
        return
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


@pytest.fixture
def swift(memory):
    """A folder of its own in memory."""
    return Path(tempfile.mkdtemp(dir=memory))
