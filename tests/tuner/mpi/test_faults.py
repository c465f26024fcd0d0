"""Every planted draft goes through the judge and gets the verdict that its first line states."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from planted_drafts import FAULTS, Planted, judge_of, planted, referenced

from outpace.codegen.mpi.drafts import mpi_drafts
from outpace.codegen.mpi.local import numpy_kernel
from outpace.model import Draft, Grade, Status
from outpace.tuner.isolation.sandbox import Layers
from outpace.tuner.mpi import judge as judging
from outpace.tuner.mpi import launch

NAMES = sorted(path.stem for path in (FAULTS / "drafts").glob("*.py"))
RIGHT = [name for name in NAMES if name.endswith("_right")]
ON_BOTH = ["advect_right", "heat_grid_right"]
ON_REAL_RANKS = {
    "leaves_by_os_exit": "crashed: rank 1: it ended without an answer",
    "hangs_on_one_rank": "timeout: no answer from rank",
    "aborts": "crashed: rank",
    "uses_the_world": "timeout: no answer from rank",
    "starts_a_program": "blocked: rank",
    "forges_an_answer": "crashed: rank 0",
}
"""What real ranks say of drafts that never came so far, because simulated ones had found them."""
needs_mpi = pytest.mark.skipif(
    launch.unavailable() is not None, reason=f"no real ranks: {launch.unavailable()}"
)


@pytest.fixture
def without_simulation(monkeypatch):
    """Real ranks alone, in an empty build."""
    monkeypatch.setattr(judging._Judging, "_simulate", lambda _, folder: (folder / "build").mkdir())


def said(trial):
    return f"{trial.status}: {trial.reason}"


@pytest.mark.parametrize(
    "name", [n for n in NAMES if n not in (*ON_BOTH, "reads_other_ranks_memory")]
)
def test_simulated_ranks_decide(name, judge):
    one = planted(name)
    trial = judge(one, simulated_only=True)
    assert said(trial).startswith(one.status), trial.details
    assert one.says in trial.reason


def test_there_are_many_faults_and_some_right_drafts():
    assert len(NAMES) - len(RIGHT) >= 50
    assert len(RIGHT) >= 8
    assert {planted(name).status for name in RIGHT} == {"checked"}


@needs_mpi
@pytest.mark.parametrize("name", ON_BOTH)
def test_right_drafts_are_right_on_real_ranks(name, judge):
    trial = judge(planted(name))
    assert trial.status is Status.CHECKED, said(trial)
    assert "simulated and under mpiexec" in trial.reason


@needs_mpi
def test_the_memory_of_other_ranks_cannot_be_read(judge):
    one = planted("reads_other_ranks_memory")
    trial = judge(one)
    if trial.grade is Grade.D:
        pytest.skip("this MPI starts threads, so that its ranks cannot be confined")
    assert said(trial).startswith(one.status)
    assert "/mem" in trial.reason


@needs_mpi
@pytest.mark.usefixtures("without_simulation")
@pytest.mark.parametrize("name", ON_REAL_RANKS)
def test_real_ranks_decide(name, judge):
    trial = judge(planted(name))
    if trial.grade is Grade.D and ON_REAL_RANKS[name].startswith("blocked"):
        pytest.skip("this MPI starts threads, so that its ranks cannot be confined")
    assert said(trial).startswith(ON_REAL_RANKS[name])


@pytest.mark.parametrize("name", ["heat", "advect", "pairs"])
def test_planned_programs_go_the_same_way(name, judge):
    reference = referenced(name)
    draft = mpi_drafts(reference, numpy_kernel(reference), 2)[0]
    trial = judge(Planted(name, name, "checked", "", draft), simulated_only=True)
    assert trial.status is Status.CHECKED, said(trial) + trial.details


def test_without_mpi4py_drafts_are_checked_in_simulation(judge, monkeypatch):
    monkeypatch.setattr(launch, "unavailable", lambda: "there is none")
    trial = judge(planted("total_right"))
    assert trial.status is Status.CHECKED
    assert "simulated; not timed" in trial.reason


def test_what_a_model_wrote_is_not_run_where_isolation_is_weak(judge, monkeypatch):
    one = planted("total_right")
    monkeypatch.setattr(judging, "lowest_grade", lambda *_, **__: Grade.A)
    monkeypatch.setattr(
        "outpace.tuner.isolation.launch.layers_wanted",
        lambda: Layers(namespaces=False),
    )
    trial = judge(one, simulated_only=True)
    assert trial.status is Status.BLOCKED
    assert "isolation here is of grade" in trial.reason


def test_hidden_characters_are_refused():
    source = "def run(comm, u, out):\n    pass  # \u202e\n"
    trial = judge_of("total").judge(Draft("mpi", source))
    assert trial.status is Status.INVALID
    assert "U+202E" in trial.reason
