"""Programs for ranks under the judge's clock, and their way to a promotion."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float64
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))

from planted_drafts import planted
from planted_drafts import referenced as planted_reference
from ranked_references import bent, quick

from outpace.cli.app import app
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.kernels import promotions as store
from outpace.kernels.languages.mpi import MPI
from outpace.kernels.target import current_target
from outpace.model import Conditions, Draft, Grade, Provenance, RankEvidence, Status, Variant
from outpace.tuner import confirm, plan
from outpace.tuner.contenders import Against
from outpace.tuner.events import QUIET
from outpace.tuner.gate import Gate
from outpace.tuner.journal import AlphaLedger
from outpace.tuner.mpi import campaign, ranks, tuning
from outpace.tuner.mpi.baselines import Baselines, ReferenceOnOneCore
from outpace.tuner.mpi.timed import RankContender
from outpace.tuner.numerics.selfcheck import check_reference
from outpace.tuner.plan import make_plan
from outpace.tuner.process import Call, Failure

REFERENCE = bent.reference
FILE = Path(__file__).with_name("ranked_references.py")
GOOD = """
def run(comm, u, out):
    out[:] = (0.5 * u + 1.0) * u - 0.25
"""
LARGE = """
def run(comm, u, out, *, sizes):
    out[:] = (0.5 * u + 1.0) * u - 0.25
    if sizes["n"] == 20_000 and comm.Get_rank() == 1:
        out[-1] += 1e-3
"""
SLEEPS = """
import time


def run(comm, u, out):
    if comm.Get_rank() == 1:
        time.sleep(600)
"""
LATER = """
import threading
import time


def later(u, out):
    time.sleep(0.5)
    out[:] = (0.5 * u + 1.0) * u - 0.25


def run(comm, u, out):
    threading.Thread(target=later, args=(u, out)).start()
"""
SLOW = """
def run(comm, u, out):
    for i in range(u.size):
        out[i] = (0.5 * u[i] + 1.0) * u[i] - 0.25
"""
INPUT = """
def run(comm, u, out):
    out[:] = (0.5 * u + 1.0) * u - 0.25
    if comm.Get_rank() == 1:
        u[0] = 0.0
"""


class Quiet:
    """A machine on which nothing else runs."""

    def include(self, pids):
        assert len(pids) > 2

    def conditions(self):
        return Conditions(idle=1.0)


class Idle:
    """Processes that are never asked for anything."""

    grade = Grade.B
    allocates = False
    everyone = (1, 2, 3)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        """Nothing to end."""

    def wait_until_loaded(self):
        """Nothing to load."""

    def allocation_seconds(self, sizes):
        return 0.0 * len(sizes)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """State, cache and promotions of this test alone, and a judge that is soon content."""
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("OUTPACE_PROMOTED", str(tmp_path / "promoted"))
    monkeypatch.setattr(plan, "PROCESS_SECONDS", 0.1)
    monkeypatch.setattr(plan, "AUDIT_SECONDS", 0.05)
    monkeypatch.setattr(confirm, "Watch", Quiet)
    monkeypatch.setattr(AlphaLedger, "next_alpha", lambda _: 0.9)


@pytest.fixture
def unrivalled(monkeypatch):
    """Only the reference is to be beaten, by which no noise can decide a test."""
    monkeypatch.setattr(tuning, "find_baselines", lambda _: Baselines({"only": {}}, None))


def draft(source):
    return Draft("mpi", source, flags={"grid": "n"}, provenance=Provenance("user", "by hand"))


@pytest.fixture
def contender(tmp_path):
    """`contender(source, ranks)`: a program that is bound and was never checked."""

    def made(source, count=2):
        variant = Variant(draft(source))
        (tmp_path / "bound" / "build").mkdir(parents=True)
        (tmp_path / "bound" / "draft.py").write_text(MPI.bind(variant))
        return RankContender(variant, tmp_path / "bound", {"only": 1e-3}, count)

    return made


def called(size, seed):
    case = Case({"n": size}, seed)
    return Call(case.sizes, draw_inputs(REFERENCE, case), case)


def right(call):
    return REFERENCE.fn(**call.values)


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_ranks_are_called_again_and_again_and_stopped_in_between(contender):
    with contender(GOOD, 3).start(REFERENCE.contract, [(2, {"n": 500}), (1, {"n": 1})]) as timed:
        assert len(set(timed.pids)) == 3
        assert set(timed.pids) < set(timed.everyone)
        for seed in range(3):
            batch = [called(500, seed), called(500, seed + 10)]
            timed.prepare(batch)
            assert not (timed.results(1)[0] == right(batch[1])).any()  # poison
            assert timed.run(60.0) > 0
            assert {state_of(pid) for pid in timed.pids} == {"T"}
            for item, call in enumerate(batch):
                np.testing.assert_allclose(timed.results(item)[0], right(call), rtol=1e-15)
        again = [called(500, 30), called(500, 31)]
        timed.refill(again)
        timed.run(60.0)
        np.testing.assert_allclose(timed.results(1)[0], right(again[1]), rtol=1e-15)
        few = called(1, 5)  # two ranks own nothing
        timed.prepare([few], anywhere=True)
        timed.run(60.0)
        np.testing.assert_allclose(timed.results()[0], right(few), rtol=1e-15)


def test_what_is_left_to_a_thread_is_missing(contender):
    with contender(LATER).start(REFERENCE.contract, [(1, {"n": 64})]) as timed:
        call = called(64, 1)
        timed.prepare([call])
        timed.run(60.0)
        assert not (timed.results()[0] == right(call)).any()


def test_an_input_must_stay_as_it_was(contender):
    with contender(INPUT).start(REFERENCE.contract, [(1, {"n": 64})]) as timed:
        timed.prepare([called(64, 1)])
        timed.run(60.0)
        with pytest.raises(Failure, match="rank 1 writes into its input u") as failed:
            timed.results()
        assert failed.value.status is Status.WRONG


def test_a_rank_that_never_answers_is_ended(contender, monkeypatch):
    monkeypatch.setattr(ranks, "FIRST_LIMIT", 1.0)
    with contender(SLEEPS).start(REFERENCE.contract, [(1, {"n": 64})]) as timed:
        timed.prepare([called(64, 1)])
        with pytest.raises(Failure, match="no answer from rank 1") as failed:
            timed.run(1.0)
        assert failed.value.status is Status.TIMEOUT


def test_a_program_wrong_only_where_it_is_timed_is_wrong(contender):
    rng = np.random.default_rng(1)
    checked = check_reference(REFERENCE, 1, cases=6)
    workload = make_plan(REFERENCE, checked.oracle, REFERENCE.contract.workloads[0], rng)
    (found,) = confirm.confirm(checked, [workload], contender(LARGE), {}, 0.4, QUIET)
    assert found.status is Status.WRONG
    assert found.counterexample.mismatch.index == (19_999,)


@pytest.mark.usefixtures("unrivalled")
def test_promotions_for_one_and_two_ranks_stand_beside_each_other(monkeypatch):
    monkeypatch.setattr(tuning, "RANKS", (2,))
    options = tuning.Options()
    result = tuning.judge_for_ranks(REFERENCE, draft(GOOD), (1, 2), options)
    assert result.verdict is Status.FASTER, [t.reason for t in result.trials]
    found = {stored.promotion.key.ranks: stored for stored in store.find(REFERENCE)}
    assert set(found) == {1, 2}
    assert found[2].promotion == result.promotion
    (evidence,) = result.promotion.evidence
    assert isinstance(evidence, RankEvidence)
    assert (evidence.over_serial, evidence.over_threaded) == (None, None)
    assert evidence.checks["timed outputs"] >= 5
    assert [one.ranks for one in result.measured] == [1, 2]
    assert Gate(REFERENCE, current_target(), None).incumbent(evidence.workload) is None

    bent.reload()
    said = str(bent.explain(np.ones(20_000)))
    assert "it is a program for MPI ranks" in said
    assert "it is for 2 ranks" in said

    again = tuning.judge_for_ranks(REFERENCE, draft(GOOD), (2,), options)
    assert again.verdict is Status.NOT_FASTER
    assert "already" in again.trials[-1].reason


def test_a_program_must_beat_its_rivals_too(contender, monkeypatch):
    checked = check_reference(REFERENCE, 1, cases=6)
    workload = make_plan(
        REFERENCE, checked.oracle, REFERENCE.contract.workloads[0], np.random.default_rng(1)
    )
    program = contender(GOOD)
    monkeypatch.setattr(RankContender, "start", lambda *_: Idle())
    monkeypatch.setattr(confirm, "reference_worker", lambda *_, **__: Idle())

    def timed(running, calls, limit, rng, **options):
        del calls, limit, rng, options, running
        return [1.0, 0.1, 0.2, 0.09], [0, 1, 2, 3]

    monkeypatch.setattr(confirm, "run_interleaved", timed)
    for name in ("_verify", "_verify_drawn_case", "_verify_nearby", "_verify_smaller"):
        monkeypatch.setattr(confirm, name, lambda *_: None)
    rivals = {Against.SERIAL: program, Against.THREADED: program}
    (found,) = confirm.confirm(checked, [workload], program, rivals, 0.4, QUIET)
    assert found.status is Status.NOT_FASTER
    assert "of the best threaded variant" in found.reason
    assert found.speedup.median == pytest.approx(10.0, rel=0.1)
    assert found.over_rivals[Against.SERIAL].median == pytest.approx(2.0, rel=0.1)
    assert found.over_rivals[Against.THREADED].median == pytest.approx(0.9, rel=0.1)


@pytest.mark.usefixtures("unrivalled")
def test_work_on_one_rank_alone_is_not_promoted(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "RANKS", (2,))
    one = planted("rank_0_does_everything")
    reference = planted_reference(one.reference)
    result = tuning.judge_for_ranks(reference, one.draft, (2,), tuning.Options())
    assert result.verdict is Status.OVER_LIMIT
    assert result.promotion is None
    assert not (tmp_path / "promoted").exists()


@pytest.mark.usefixtures("unrivalled")
def test_ranks_without_cores_are_checked_and_not_timed(monkeypatch):
    monkeypatch.setattr(tuning, "RANKS", (2,))
    monkeypatch.setattr(campaign.RankCampaign, "is_timed", False)
    result = tuning.judge_for_ranks(REFERENCE, draft(GOOD), (3,), tuning.Options())
    assert result.verdict is Status.CHECKED
    assert "programs for 3 ranks are checked and not timed" in result.notes[-1]


def cores_at_hand(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """As many elements as given, each the number of cores that the process sees."""
    return np.full_like(u, len(os.sched_getaffinity(0)))


def test_the_reference_on_one_core_sees_no_other():
    reference = Reference(cores_at_hand, ReferenceOptions(workloads={"only": {"n": 4}}))
    alone = ReferenceOnOneCore.of(reference, {})
    cores = os.sched_getaffinity(0)
    with alone.start(reference.contract, [(1, {"n": 4})]) as worker:
        assert worker.allocates
        worker.prepare([Call({"n": 4}, {"u": np.zeros(4)})])
        worker.run(60.0)
        worker.publish()
        assert worker.results()[0].tolist() == [1.0] * 4
    assert os.sched_getaffinity(0) == cores


def test_a_program_slower_than_the_reference_is_measured(monkeypatch):
    alone = {Against.SERIAL: ReferenceOnOneCore.of(quick.reference, {"only": 1e-3})}
    found = Baselines({"only": alone}, None)
    monkeypatch.setattr(tuning, "find_baselines", lambda _: found)
    monkeypatch.setattr(tuning, "RANKS", (2,))
    monkeypatch.setattr(tuning, "PROGRAMS", 1)
    monkeypatch.setattr(tuning, "promising", lambda *_: [Variant(draft(SLOW))])
    result = tuning.tune_on_ranks(quick.reference, (2,), tuning.Options())
    assert result.promotion is None
    (measured,) = result.measured
    assert measured.status is Status.NOT_FASTER
    assert 0 < measured.efficiency < measured.threaded_efficiency
    assert "of the best serial variant" in measured.sentence


@pytest.mark.usefixtures("unrivalled")
def test_tune_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "PROGRAMS", 1)
    command = ["tune", f"{FILE}:bent", "--language", "mpi", "--ranks", "2", "--json", "--quiet"]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert (told["promotion"]["language"], told["promotion"]["ranks"]) == ("mpi", 2)
    assert told["on_ranks"][0]["status"] == "faster"
    listed = CliRunner().invoke(app, ["list", str(tmp_path / "promoted"), "--json"])
    assert [one["ranks"] for one in json.loads(listed.stdout)["promotions"]] == [2]
