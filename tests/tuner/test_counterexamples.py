"""Counterexamples are made small, kept, replayed first, and can be seen again."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float64

import outpace
from outpace.codegen.inputs import Case
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import UntestableError, UsageError
from outpace.model import Counterexample, Draft, Mismatch, Parameter, Status, Variant
from outpace.tuner import api, plan
from outpace.tuner.evaluate import build_and_check
from outpace.tuner.numerics.counterexamples import REPLAYED, Counterexamples
from outpace.tuner.numerics.oracle import Oracle
from outpace.tuner.numerics.selfcheck import check_reference
from outpace.tuner.plan import make_plan
from outpace.tuner.rerun import rerun


@outpace.optimize(workloads={"only": {"n": 300, "m": 200}}, inputs={"u": outpace.Uniform(-1, 1)})
def sums(u: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n"]:
    return np.sum(u, axis=1) / 3


def draft(wrong: str) -> Draft:
    """Right, and then what is wrong."""
    lines = ("import numpy as np", "def kernel(u, out):", "    out[:] = np.sum(u, axis=1) / 3")
    return Draft("numba", "\n".join((*lines, f"    {wrong}", "")))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setattr(plan, "PROCESS_SECONDS", 0.1)


def checked_on(*cases):
    return check_reference(sums.reference, 3, 12, cases)


@pytest.mark.parametrize(
    ("wrong", "sizes"),
    [
        ("out[8:] *= 2", {"n": 9, "m": 1}),
        ("if u.shape[1] > 10: out[6:7] = 0", {"n": 7, "m": 11}),
    ],
)
def test_a_counterexample_is_made_as_small_as_can_be(wrong, sizes):
    checked = checked_on(Case({"n": 31, "m": 17}, 12345, "wide"))
    trial = build_and_check(sums.reference, checked, Variant(draft(wrong)))
    found = trial.counterexample
    assert trial.status is Status.WRONG
    assert (found.sizes, found.flavour) == (sizes, "plain")
    assert found.seed in (0, 1)
    assert found.mismatch is not None
    assert f"n={sizes['n']}" in trial.reason


def test_a_draft_that_crashes_on_simpler_cases_keeps_the_case_it_was_wrong_on():
    wrong = "assert u.shape[0] > 30, 'small'; out[-1] += 1"
    checked = checked_on(Case({"n": 31, "m": 17}, 12345, "wide"))
    found = build_and_check(sums.reference, checked, Variant(draft(wrong))).counterexample
    assert Case.of_counterexample(found) == checked.cases[0]


def test_a_draft_that_fails_on_some_case_says_on_which():
    checked = checked_on(Case({"n": 1, "m": 1}, 0), Case({"n": 31, "m": 17}, 7, "wide"))
    trial = build_and_check(sums.reference, checked, Variant(draft("assert u.shape[0] < 20")))
    assert trial.status is Status.CRASHED
    assert trial.reason.endswith("(at n=31, m=17)")
    assert Case.of_counterexample(trial.counterexample) == checked.cases[1]


def test_no_time_is_left_to_make_it_small(monkeypatch):
    monkeypatch.setattr("outpace.tuner.numerics.shrinking.SHRINK_SECONDS", 0.0)
    checked = checked_on(Case({"n": 31, "m": 17}, 12345, "wide"))
    found = build_and_check(sums.reference, checked, Variant(draft("out += 1"))).counterexample
    assert Case.of_counterexample(found) == checked.cases[0]


# --- Kept and replayed ----------------------------------------------------------------------------


def found(n, seed=0, mismatch=None):
    return Counterexample({"n": n, "m": 2}, seed, "plain", mismatch)


def test_the_newest_are_replayed_and_each_is_kept_once():
    store = Counterexamples(sums.reference)
    assert store.replayed() == ()
    for n in (*range(12), 3):
        store.keep(found(n, mismatch=Mismatch("out", (0,), float("nan"), 1.0, 0.0)))
    assert [case.sizes["n"] for case in store.replayed()] == list(range(11, 11 - REPLAYED, -1))


def test_what_the_contract_no_longer_allows_is_not_replayed():
    store = Counterexamples(sums.reference)
    for n in (3, 20, 10**6):
        store.keep(found(n))
    limited = Reference(
        sums.reference.fn, ReferenceOptions(workloads={"w": {"n": 8, "m": 9}}, where="n < 9")
    )
    assert limited.source_hash == sums.reference.source_hash
    assert [case.sizes["n"] for case in Counterexamples(limited).replayed()] == [3]
    assert [case.sizes["n"] for case in store.replayed()] == [20, 3]


def test_another_draft_meets_the_counterexample_first(monkeypatch):
    first = api.judge(sums, draft("out[8:] *= 2"), dry_run=True)
    (case,) = Counterexamples(sums.reference).replayed()
    assert Case.of_counterexample(first.trials[-1].counterexample) == case
    replayed = []

    def spy(reference, seed, **options):
        replayed.extend(options["replayed"])
        raise UntestableError("enough seen")

    monkeypatch.setattr("outpace.tuner.campaign.check_reference", spy)
    with pytest.raises(UntestableError, match="enough seen"):
        api.judge(sums, draft("out[9:] *= 2"), dry_run=True)
    assert replayed == [case]


# --- Again ----------------------------------------------------------------------------------------


def test_a_draft_is_run_on_one_case_again():
    one = Draft("numba", draft("out[AT:] += 1").source, (Parameter("AT", (5, 7)),))
    case = Case({"n": 6, "m": 2}, 0)
    assert rerun(sums.reference, one, case, {"AT": 7}) is None
    trial = rerun(sums.reference, one, case, {})
    assert (trial.status, trial.params) == (Status.WRONG, {"AT": 5})
    assert Case.of_counterexample(trial.counterexample) == case
    with pytest.raises(UsageError, match="AT has no value 6"):
        rerun(sums.reference, one, case, {"AT": 6})
    with pytest.raises(UsageError, match="has no parameters"):
        rerun(sums.reference, draft("pass"), case, {"AT": 6})


# --- Awkward values at workload sizes -------------------------------------------------------------


def test_every_kind_of_values_is_tried_at_a_workload_where_that_is_cheap():
    made = make_plan(
        sums.reference,
        Oracle(sums.reference),
        sums.reference.contract.workloads[0],
        np.random.default_rng(0),
    )
    kinds = {call.case.flavour for call, _ in made.stressed}
    assert kinds == {"offset", "wide", "cancelling", "sorted", "rare"}
    assert all(call.case.sizes == {"n": 300, "m": 200} for call, _ in made.stressed)


def test_slow_references_are_not_stressed(monkeypatch):
    monkeypatch.setattr(plan, "STRESSED_SECONDS", 0.0)
    workload = sums.reference.contract.workloads[0]
    oracle = Oracle(sums.reference)
    assert not make_plan(sums.reference, oracle, workload, np.random.default_rng(0)).stressed


def test_a_draft_that_is_wrong_on_rare_values_when_large_is_found_out():
    wrong = "if u.size > 50000 and len(set(np.sign(np.diff(u[0])))) == 1: out[0] += 1"
    result = api.judge(sums, draft(wrong), dry_run=True)
    assert result.verdict is Status.WRONG
    example = result.trials[-1].counterexample
    assert (example.flavour, example.sizes) == ("sorted", {"n": 300, "m": 200})
    assert Counterexamples(sums.reference).replayed() == ()
