"""`tune`, `judge` and `check` end to end, on references whose speedups leave no doubt."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from timed_references import histogram, running

from outpace.errors import ContractError, DraftError, UsageError
from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import parse_draft
from outpace.model import Draft, Provenance, Status
from outpace.tuner import api, plan
from outpace.tuner import check as checking
from outpace.tuner.evaluate import discard_abandoned_builds
from outpace.tuner.events import Ended, Moved, Planned
from outpace.tuner.journal import AlphaLedger
from outpace.tuner.report.data import gather

GOOD = """import numba


@numba.njit
def kernel(u, out):
    last = 0.0
    for i in range(u.size):
        last = 0.5 * last + u[i]
        out[i] = last
"""

THRICE = """import numba


@numba.njit
def kernel(u, out):
    for _ in range(3):
        last = 0.0
        for i in range(u.size):
            last = 0.5 * last + u[i]
            out[i] = last
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """State, cache and promotions of this test alone."""
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("OUTPACE_PROMOTED", str(tmp_path / "promoted"))
    monkeypatch.setattr(plan, "PROCESS_SECONDS", 0.1)
    monkeypatch.setattr(plan, "AUDIT_SECONDS", 0.05)
    running.reload()
    histogram.reload()


@pytest.fixture
def short_confirmations(monkeypatch):
    """A larger error budget: two or three process pairs decide. The rule is tested apart."""
    monkeypatch.setattr(AlphaLedger, "next_alpha", lambda _: 0.4)
    monkeypatch.setattr(checking, "CHECK_ALPHA", 0.4)


short = pytest.mark.usefixtures("short_confirmations")


def draft(source, idea="by hand"):
    return Draft("numba", source, provenance=Provenance("user", idea=idea))


@short
def test_a_fast_right_draft_is_promoted_served_and_checked(tmp_path):
    result = api.judge(running, draft(GOOD))

    assert result.verdict is Status.FASTER
    assert result.speedup.low > 5
    assert result.path.is_relative_to(tmp_path / "promoted")
    (evidence,) = result.promotion.evidence
    assert evidence.checks["timed outputs"] >= 5 * len(evidence.samples)
    assert evidence.checks["full rule"] >= 1

    running.reload()
    u = np.random.default_rng(0).normal(size=16_000)
    assert "promotion" in str(running.explain(u))
    np.testing.assert_allclose(running(u), running.reference.fn(u), rtol=1e-12)

    (checked,) = api.check([tmp_path / "promoted"])
    assert checked.status is Status.FASTER, checked.reason
    (one,) = gather(references=[running.reference]).references
    assert {len(series.points) for series in one.series} == {2}, "the judging and its check"


@short
def test_an_incumbent_must_be_beaten(tmp_path):
    assert api.judge(running, draft(GOOD)).verdict is Status.FASTER
    behind = api.judge(running, draft(THRICE), screened=False)
    assert behind.verdict is Status.NOT_FASTER
    same = api.judge(running, draft(GOOD))
    assert same.verdict is Status.NOT_FASTER
    assert "already" in same.trials[-1].reason
    assert len(list((tmp_path / "promoted").rglob("promotion.json"))) == 1


def test_a_wrong_draft_comes_with_its_counterexample(tmp_path):
    result = api.judge(running, draft(GOOD.replace("range(u.size)", "range(u.size - 1)")))
    assert result.verdict is Status.WRONG
    assert result.promotion is None
    mismatch = result.trials[-1].counterexample.mismatch
    assert mismatch.output == "out"
    assert mismatch.got != mismatch.expected  # the poison, which is not always NaN
    assert not (tmp_path / "promoted").exists()


@short
def test_in_place_and_scalar_results():
    source = """import numba


@numba.njit
def kernel(values, counts, bins, out):
    total = 0.0
    for i in range(values.size):
        counts[values[i] % bins] += 1
        total += values[i]
    out[0] = total
"""
    result = api.judge(histogram, draft(source), dry_run=True)
    assert result.verdict is Status.FASTER, [t.reason for t in result.trials]
    stale = source.replace("counts[values[i] % bins] += 1", "counts[values[i] % bins] = 1")
    assert api.judge(histogram, draft(stale), dry_run=True).verdict is Status.WRONG


@short
def test_tune_promotes_and_reports_every_variant(tmp_path):
    events = []

    class Recorder:
        def notice(self, event):
            events.append(event)

    result = api.tune(running, languages=("numba",), observer=Recorder())
    assert result.promotion is not None, [t.reason for t in result.trials]
    planned = {e.variant for e in events if isinstance(e, Planned)}
    assert planned == {e.variant for e in events if isinstance(e, Ended)}
    assert any(t.label.startswith("plain numba") for t in result.trials)
    assert result.promotion.evidence[0].over_numba is not None
    assert not [t.reason for t in result.trials if t.status is Status.BUILD_FAILED]


@short
def test_an_interrupted_tune_goes_on_where_it_stopped(tmp_path):
    class Interrupted:
        def notice(self, event):
            if isinstance(event, Moved) and event.stage == "confirming":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.tune(running, languages=("numba",), observer=Interrupted())
    assert not list((tmp_path / "promoted").rglob("promotion.json"))

    stages = []

    class Recorder:
        def notice(self, event):
            if isinstance(event, Moved):
                stages.append(event.stage)

    again = api.tune(running, languages=("numba",), observer=Recorder())
    assert again.promotion is not None
    # A variant may be close to the best only now, and be screened a second time.
    assert "building" not in stages
    assert "confirming" in stages


def test_builds_of_killed_runs_are_discarded(tmp_path):
    judged = tmp_path / "cache" / "outpace" / "judged"
    ours, theirs = judged / f"{os.getpid()}-a", judged / "99999999-b"
    for folder in (ours, theirs):
        (folder / "build").mkdir(parents=True)
    discard_abandoned_builds()
    assert ours.exists()
    assert not theirs.exists()


@short
def test_a_dry_run_binds_parameters_as_module_constants_and_writes_nothing(tmp_path):
    header = '# outpace: {"parameters": {"START": [0, 1]}, "constraints": ["START < 1"]}\n'
    source = header + GOOD.replace("range(u.size)", "range(START, u.size)")
    parsed = parse_draft(source, language_named("numba"), Provenance("user"))
    result = api.judge(running, parsed, dry_run=True)
    assert result.verdict is Status.FASTER
    assert {tuple(t.params.items()) for t in result.trials} == {(("START", 0),)}
    assert result.path is None
    assert not (tmp_path / "promoted").exists()


@pytest.mark.parametrize(
    "header",
    ["{not json", '{"unknown": 1}', '{"parameters": {"a b": [1]}}', '{"constraints": ["x < 1"]}'],
)
def test_a_malformed_header_is_one_clear_error(header):
    with pytest.raises(DraftError):
        parse_draft(f"# outpace: {header}\n{GOOD}", language_named("numba"), Provenance("user"))


def test_unknown_names_are_usage_errors():
    with pytest.raises(UsageError, match="only"):
        api.tune(running, workloads=["huge"])
    with pytest.raises(UsageError, match="builtin"):
        api.tune(running, drafter="oracle")
    with pytest.raises(UsageError, match="numba"):
        api.tune(running, languages=["fortran"])
    with pytest.raises(ContractError, match="optimize"):
        api.tune(running.reference.fn)


@short
def test_notebook_functions_are_judged_from_a_standalone_copy(monkeypatch):
    monkeypatch.setattr(running.reference.fn, "__module__", "__main__")
    assert running.reference.location is None
    assert api.judge(running, draft(GOOD), dry_run=True).verdict is Status.FASTER
