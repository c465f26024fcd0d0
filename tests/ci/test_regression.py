"""Two commits of a scratch repository, compared."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from outpace.codegen.inputs import Case
from outpace.errors import UsageError
from outpace.model import Mismatch, Status, Workload
from outpace.tuner import plan
from outpace.tuner.ci import pairs as ci_pairs
from outpace.tuner.ci import regression
from outpace.tuner.ci.pairs import HeadFailed, Size, WrongResult
from outpace.tuner.ci.rule import Colour, PairRatios
from outpace.tuner.ci.trees import Named
from outpace.tuner.events import QUIET
from outpace.tuner.process import Failure
from outpace.tuner.rule import SequentialRule


@pytest.fixture
def single_pairs(monkeypatch):
    """One process pair ends a round, whose controls hold: the rule is tested apart."""
    measured = ci_pairs.process_pair

    def with_controls(subject, plans, sizes):
        found = measured(subject, plans, sizes)
        return {name: PairRatios(ratios.head, 1.0, 1.1) for name, ratios in found.items()}

    monkeypatch.setattr(regression, "rule_for", lambda _: SequentialRule((1,)))
    monkeypatch.setattr(ci_pairs, "process_pair", with_controls)
    monkeypatch.setattr(plan, "PROCESS_SECONDS", 0.3)


@pytest.fixture
def pretended(monkeypatch):
    """Nothing is timed: process pairs give the ratios that are put here."""
    ratios = []

    def process_pair(subject, plans, sizes):
        assert set(sizes) >= {p.workload.name for p in plans}
        return {p.workload.name: ratios[-1] for p in plans}

    monkeypatch.setattr(
        ci_pairs, "sizes_for", lambda s: {p.workload.name: Size(1, 5, 1.0) for p in s.plans}
    )
    monkeypatch.setattr(ci_pairs, "process_pair", process_pair)
    return ratios


@pytest.mark.usefixtures("single_pairs")
def test_a_kernel_that_takes_three_times_as_long_is_red(scratch):
    base = scratch.git("rev-parse", "HEAD")
    scratch.promote(work=60)
    head = scratch.commit()

    report = regression.compare(scratch.folder, base)

    assert (report.base, report.head) == (base, head)
    assert report.colour is Colour.RED
    (found,) = report.findings
    assert found.workload == "only"
    assert 1.5 < found.ratio.median < 6.0
    assert "1 of 1 and 1 of 1" in found.reason
    assert scratch.git("worktree", "list").count("\n") == 0


def test_a_lost_promotion_is_named_where_its_function_is_slower(scratch, pretended):
    base = scratch.git("rev-parse", "HEAD")
    scratch.write_module("2.0")
    (stale,) = (scratch.folder / "promoted" / scratch.name).iterdir()
    damaged = stale.with_name("0123456789abcdef")
    damaged.mkdir()
    (damaged / "promotion.json").write_text("{}")
    scratch.commit()
    pretended.append(PairRatios(1.4, 1.0, 1.1))

    report = regression.compare(scratch.folder, base)

    harmed, slower = report.findings
    assert harmed.colour is slower.colour is Colour.RED
    assert harmed.function.endswith(damaged.name)
    assert "not a stored Promotion" in harmed.reason
    assert slower.ratio.median == 1.4
    assert "the base runs a promotion, the head its reference" in slower.reason
    (note,) = report.notes
    assert stale.name in note
    assert "source has changed" in note


MISMATCH = Mismatch("out", (0,), 2.0, 1.0, 1e-12)
FAILED = (Status.CRASHED, "the process died of SIGSEGV")


@pytest.mark.parametrize(
    ("raised", "colour", "said"),
    [
        (WrongResult("only", MISMATCH, Case({"n": 3}, 7)), Colour.RED, '"seed": 7'),
        (HeadFailed(*FAILED), Colour.RED, "fails in the head: the process died"),
        (Failure(*FAILED), Colour.INCONCLUSIVE, "could not be timed: the process died"),
    ],
)
def test_what_ends_the_timing_is_never_green(monkeypatch, raised, colour, said):
    def process_pair(*_):
        raise raised

    monkeypatch.setattr(ci_pairs, "sizes_for", lambda _: {})
    monkeypatch.setattr(ci_pairs, "process_pair", process_pair)
    subject = SimpleNamespace(plans=(SimpleNamespace(workload=Workload("only", {"n": 3})),))
    name, rule = Named("heat.py", "step"), SequentialRule((1,))
    (found,) = regression._timed(name, subject, rule, {}, QUIET)
    assert found.colour is colour
    assert said in found.reason


def test_what_is_not_committed_does_not_count(scratch):
    shutil.rmtree(scratch.folder / "promoted")
    scratch.commit()
    scratch.write_module()
    scratch.promote()
    with pytest.raises(UsageError, match="no promotion that can be read"):
        regression.compare(scratch.folder, "HEAD")


def test_a_commit_that_is_not_there(scratch):
    with pytest.raises(UsageError, match="no commit 'nowhere'; in a shallow clone fetch it"):
        regression.compare(scratch.folder, "nowhere")


def test_no_repository(tmp_path):
    with pytest.raises(UsageError, match="not a git repository"):
        regression.compare(tmp_path, "HEAD")
