"""A disk that is full: one clear error, what was there stays, and with space it goes on."""

import json
import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest

from outpace.errors import StorageError
from outpace.tuner.journal import AlphaLedger, CampaignEnded, Journal

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
REFERENCE = """
import numpy as np
from jaxtyping import Float64

import outpace


@outpace.optimize(workloads={"only": {"n": 64}})
def scale(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return 2.0 * u
"""


@pytest.fixture
def tiny(tmp_path):
    """A folder, and what runs a command with a tiny file system mounted on it."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    script = f'mount -t tmpfs -o size=192k tmpfs "{folder}" && exec "$@"'
    before = (*NAMESPACE, "sh", "-c", script, "sh")
    try:
        allowed = subprocess.run([*before, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `unshare` to mount a tiny file system with")
    if allowed.returncode:
        pytest.skip(f"no tiny file system can be mounted here: {allowed.stderr.decode().strip()}")
    return folder, before


def test_a_full_disk_loses_nothing_and_with_space_it_goes_on(actor, tiny):
    folder, before = tiny
    seen = actor("fill_up", folder, before=before)
    kept = seen["kept"]
    assert len(kept) > 5
    journal, promotion = seen["refused"]
    assert "Free space there" in journal
    assert "No space left on device" in promotion
    assert "nothing that was there is lost" in promotion
    assert seen["full"] == [kept, [[[0, 0]], []]]
    assert seen["after"] == [[*kept, [0, len(kept)]], [[[0, 2]], []]]
    assert len(seen["left"]) == 1


def test_a_tune_on_a_full_disk_ends_with_one_line_and_exit_code_4(tiny, tmp_path, monkeypatch):
    folder, before = tiny
    (tmp_path / "reference.py").write_text(REFERENCE)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    program = (
        "import pathlib, sys\n"
        "full = pathlib.Path(sys.argv.pop(1)).open('wb', buffering=0)\n"
        "while full.write(bytes(4096)) == 4096: pass\n"
    )
    program = f"try:\n    {program.replace(chr(10), chr(10) + '    ')}\nexcept OSError: pass\n"
    program += "from outpace.cli import main; main()"
    command = [sys.executable, "-c", program, folder / "ballast", "tune", "reference.py:scale"]
    done = subprocess.run(
        [*before, *command, "--json"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 4, done.stderr
    answer = json.loads(done.stdout)
    assert answer["error"].startswith(f"could not write to {folder}")
    assert done.stderr.splitlines()[-1] == f"error: {answer['error']}"
    assert not (tmp_path / "promoted").exists()


@contextmanager
def files_limited_to(size):
    """Writes beyond `size` bytes of a file fail in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("fitting", [0, 1, 60])
def test_a_limit_on_file_sizes_tears_one_record_and_no_other(tmp_path, fitting):
    with Journal(tmp_path) as journal:
        journal.append(CampaignEnded("before"))
        (path,) = tmp_path.iterdir()
        size = path.stat().st_size + fitting
        expected = pytest.raises(StorageError, match=f"could not write to {tmp_path}")
        with files_limited_to(size), expected:
            journal.append(CampaignEnded("x" * 1000))
        assert [record.summary for record in journal.records()] == ["before"]
        journal.append(CampaignEnded("after"))
    assert [record.summary for record in journal.records()] == ["before", "after"]


def test_a_share_that_cannot_be_written_down_is_spent_all_the_same():
    ledger = AlphaLedger("5f1e")
    share = ledger.next_alpha()
    with files_limited_to(10), pytest.raises(StorageError):
        ledger.spend(share, "large")
    assert AlphaLedger("5f1e").next_alpha() == pytest.approx(share / 4)
