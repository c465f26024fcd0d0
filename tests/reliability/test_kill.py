"""kill -9: what was acknowledged is there, and nothing half-written is believed."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from outpace.tuner.journal import CampaignEnded, Journal, Screened

KILLS = [20, pytest.param(250, marks=pytest.mark.soak)]

MODULE = """
import numpy as np
from jaxtyping import Float64

import outpace


@outpace.optimize(workloads={"only": {"n": 3000}})
def running(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    out = np.empty_like(u)
    last = 0.0
    for i in range(u.size):
        last = 0.5 * last + u[i]
        out[i] = last
    return out
"""


def by_writer(journal):
    """The numbers that each writer left, in the order in which they are read."""
    found = {}
    for record in journal.records():
        writer, number = map(int, record.summary.split()[:2])
        found.setdefault(writer, []).append(number)
    return found


@pytest.mark.parametrize("kills", KILLS)
def test_killed_writers_lose_no_acknowledged_record(actor, tmp_path, kills):
    acknowledged = actor("kill_journals", tmp_path / "journal", kills)
    journal = Journal(tmp_path / "journal")
    found = by_writer(journal)
    assert len(acknowledged) == kills
    for writer, (last,) in enumerate(acknowledged):
        # The record at which the writer was killed may have come to the disk or not.
        assert found[writer] in (list(range(last + 1)), list(range(last + 2)))
    assert journal.read().damaged <= kills


@pytest.mark.parametrize("kills", KILLS)
def test_killed_promoters_leave_the_old_or_the_new_one(actor, tmp_path, kills):
    seen = actor("kill_promoters", tmp_path, kills)
    assert len(seen) == kills
    for acknowledged, found, warned in seen:
        assert found in ([[0, acknowledged]], [[0, acknowledged + 1]])
        assert warned == []


def test_a_journal_survives_a_kill_before_each_call(faulty_actor, swift):
    seen = faulty_actor("kills_in_journal", swift)
    assert len(seen) > 10
    for _, acknowledged, found in seen:
        assert found[: len(acknowledged)] == acknowledged
        assert found == list(range(len(found)))


def test_a_promotion_survives_a_kill_before_each_call(faulty_actor, swift):
    seen = faulty_actor("kills_in_promotion", swift, "with-exchange")
    assert len(seen) > 20
    assert all(was_killed for _, was_killed, _, _ in seen)
    found = [numbers for _, _, numbers, _ in seen]
    before = found.count([[0, 0]])
    assert found == [[[0, 0]]] * before + [[[0, 1]]] * (len(found) - before)
    assert 0 < before < len(found)
    assert not any(warned for *_, warned in seen)


def test_without_exchange_a_kill_leaves_one_promotion_or_none(faulty_actor, swift):
    seen = faulty_actor("kills_in_promotion", swift, "without-exchange")
    found = [numbers for _, _, numbers, _ in seen]
    assert found.count([]) == 1  # between the two renames
    assert all(numbers in ([[0, 0]], [], [[0, 1]]) for numbers in found)
    assert not any(warned for *_, warned in seen)


# --- The whole program --------------------------------------------------------------------------


def tune():
    program = "from outpace.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "tune", "references.py:running", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        start_new_session=True,
    )


def family(program):
    """The program and the processes that it has started."""
    try:
        process = psutil.Process(program.pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def screened_labels(state):
    """What the journal of the one campaign holds as screened since its last end."""
    folders = list((state / "campaigns").glob("*"))
    return [r.variant.label for folder in folders for r in Journal(folder).unfinished()]


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_tune_that_is_killed_over_and_over_goes_on_and_ends(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("references.py").write_text(MODULE)
    rng = random.Random(0)
    known = []
    for _ in range(12):
        program = tune()
        time.sleep(rng.uniform(0.5, 25))  # the moment of the kill
        processes = family(program)
        os.kill(program.pid, signal.SIGKILL)
        program.communicate()
        assert psutil.wait_procs(processes, timeout=30)[1] == []
        if program.returncode == 0:  # it was faster than the kill
            known = []
        now = screened_labels(state)
        assert set(known) <= set(now) or program.returncode == 0
        known = now
        for path in tmp_path.rglob("promotion.json"):
            assert path.parent.name.startswith(".new-") or json.loads(path.read_text())["digest"]
    program = tune()
    out, err = program.communicate()
    assert program.returncode in (0, 3), err  # what the clock says is not the point here
    assert json.loads(out)["trials"]
    (folder,) = (state / "campaigns").glob("running-*")
    reading = Journal(folder).read()
    assert isinstance(reading.records[-1], CampaignEnded)
    screened = [r.variant.hash for r in reading.records if isinstance(r, Screened)]
    ends = sum(isinstance(r, CampaignEnded) for r in reading.records)
    assert all(screened.count(variant) <= ends for variant in screened)
    assert re.fullmatch(r"running-[0-9a-f]{16}", folder.name)
