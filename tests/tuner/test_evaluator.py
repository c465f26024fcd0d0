"""The campaign's search with machines replaced by a formula: what is asked, kept and resumed."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from outpace.model import Draft, Grade, Parameter, Residence, Status, Target, Workload
from outpace.tuner import evaluator as module
from outpace.tuner.campaign import Budget, Campaign
from outpace.tuner.evaluate import Evaluation, trial_of
from outpace.tuner.evaluator import Evaluator
from outpace.tuner.events import QUIET
from outpace.tuner.exploration import UNBUDGETED
from outpace.tuner.journal import CampaignEnded, Journal
from outpace.tuner.screening import CLEARLY, RACED_CALLS, _Race

PLAN = SimpleNamespace(
    workload=Workload("only", {"n": 8}), reference_seconds=1.0, allocation_seconds=0.0
)
LARGE = Draft("numba", "", (Parameter("X", tuple(range(20))), Parameter("Y", tuple(range(20)))))


def seconds_of(variant):
    x, y = variant.params["X"], variant.params["Y"]
    return 0.1 + ((x - 13) ** 2 + (y - 4) ** 2) / 100


class Machine:
    """Stands for processes; counts what is built and screened."""

    def __init__(self):
        self.built = []
        self.screened = []

    def build(self, reference, checked, variant, **options):
        self.built.append(variant.params)
        if variant.params["X"] == variant.params["Y"]:
            return trial_of(variant, Status.WRONG, "wrong")
        return Evaluation(variant, SimpleNamespace(name="folder"), Grade.A)

    def screen(self, reference, plans, evaluation, pacer, best):
        self.screened.append(evaluation.variant.params)
        seconds = evaluation.seconds["only"] = seconds_of(evaluation.variant)
        if best and seconds > CLEARLY * best["only"]:
            evaluation.dropped["only"] = RACED_CALLS


@pytest.fixture
def machine(monkeypatch):
    @contextmanager
    def pacer(*_):
        yield None

    machine = Machine()
    monkeypatch.setattr(module, "build_and_check", machine.build)
    monkeypatch.setattr(module, "screen", machine.screen)
    monkeypatch.setattr(module, "reference_worker", pacer)
    monkeypatch.setattr(module, "capacity_for", lambda *_: (0, 0))
    return machine


@contextmanager
def campaign(folder, budget=Budget()):  # noqa: B008
    given = {"source_hash": "0" * 16, "contract": None, "residence": Residence.HOST}
    reference = SimpleNamespace(name="r", **given)
    with Journal(folder) as journal:
        target = Target("x86_64", "cpu", 2)
        made = Campaign(reference, target, [PLAN.workload], journal, budget, folder, QUIET)
        made._plans.append(PLAN)
        made._evaluator = Evaluator(
            SimpleNamespace(reference=reference, oracle=None),
            made._plans,
            journal,
            SimpleNamespace(keep=lambda found: None),
            QUIET,
            made._out_of_time,
        )
        yield made


def test_a_budget_in_drafts_is_used_to_the_end(machine, tmp_path):
    with campaign(tmp_path, Budget(drafts=31)) as tuned:
        tuned.explore([LARGE], 0.5)
        assert len(machine.built) == 16
        tuned.explore(())
    assert len(machine.built) == 31
    assert len({tuple(p.items()) for p in machine.built}) == 31


def test_without_a_budget_the_search_ends(machine, tmp_path):
    with campaign(tmp_path) as tuned:
        tuned.explore([LARGE])
    assert UNBUDGETED <= len(machine.built) < UNBUDGETED + 64  # a batch may be under way


def test_no_time_no_evaluation(machine, tmp_path):
    with campaign(tmp_path, Budget(minutes=0.0)) as tuned:
        tuned.explore([LARGE])
    assert not machine.built


def test_failures_become_trials_and_the_search_goes_on(machine, tmp_path):
    with campaign(tmp_path, Budget(drafts=60)) as tuned:
        tuned.explore([LARGE])
        wrong = [t.params for t in tuned.trials]
        assert {t.status for t in tuned.trials} == {Status.WRONG}
    assert wrong[0] == {"X": 0, "Y": 0}
    assert len(wrong) + len(machine.screened) == 60


def test_a_malformed_draft_is_a_trial(machine, tmp_path):
    malformed = Draft("numba", "", (Parameter("X", (1, 2)),), ("X > 2",))
    with campaign(tmp_path) as tuned:
        tuned.explore([malformed])
        (trial,) = tuned.trials
    assert trial.status is Status.INVALID
    assert "no combination" in trial.reason


def test_an_interrupted_search_goes_on_and_repeats_nothing(machine, tmp_path):
    with campaign(tmp_path, Budget(drafts=20)) as tuned:
        tuned.explore([LARGE])
    first = len(machine.built)
    with campaign(tmp_path, Budget(drafts=20)) as tuned:
        tuned.explore([LARGE])
        known = len(tuned.evaluator.evaluations) + len(tuned.trials)
    assert known == len(machine.built) == first + 20
    assert len({tuple(p.items()) for p in machine.built}) == first + 20


def test_the_search_continued_is_the_search_uninterrupted(machine, tmp_path):
    for name, budgets in (("once", [24]), ("twice", [12, 12])):
        machine.built.clear()
        for budget in budgets:
            with campaign(tmp_path / name, Budget(drafts=budget)) as tuned:
                tuned.explore([LARGE])
        built = [tuple(p.values()) for p in machine.built]
        if name == "once":
            expected = built
    assert built == expected


def test_after_the_end_only_failures_are_remembered(machine, tmp_path):
    with campaign(tmp_path, Budget(drafts=30)) as tuned:
        tuned.explore([LARGE])
        tuned.journal.append(CampaignEnded(summary="over"))
        failures = len(tuned.trials)
    with campaign(tmp_path, Budget(drafts=0)) as tuned:
        tuned.explore([LARGE])
        assert len(tuned.trials) == failures
        assert not tuned.evaluator.evaluations


def test_builds_of_dropped_variants_are_not_kept(machine, tmp_path):
    with campaign(tmp_path, Budget(drafts=40)) as tuned:
        tuned.explore([LARGE])
        for evaluation in tuned.evaluator.evaluations.values():
            assert (evaluation.build is None) == bool(evaluation.dropped)


def test_close_contenders_are_screened_again_once(machine, tmp_path):
    pair = Draft("numba", "", (Parameter("X", (13,)), Parameter("Y", (3, 5, 12))))
    with campaign(tmp_path) as tuned:
        tuned.explore([pair])
        tuned.compare_contenders()
        assert sorted(p["Y"] for p in machine.screened) == [3, 3, 5, 5, 12]
        tuned.compare_contenders()
    with campaign(tmp_path) as tuned:
        tuned.explore([pair])
        tuned.compare_contenders()
    assert len(machine.screened) == 5


def test_a_race_is_lost_when_even_the_fastest_call_is_clearly_slower():
    race = _Race(PLAN, None, best=1.0)
    race.times = [9.0, 3.0, 1.3 * CLEARLY]
    assert not race.is_lost  # too early to tell
    race.times.append(1.1 * CLEARLY)
    assert race.is_lost
    race.times.append(0.9 * CLEARLY)
    assert not race.is_lost


def test_a_race_allows_for_a_busy_machine():
    race = _Race(PLAN, None, best=1.0)
    race.times = [9.0, 3.0, 2.2, 2.2]
    race.paces = [9.0, 2.0, 2.0, 2.0]  # the reference took twice as long as well
    assert not race.is_lost
    assert race.seconds == pytest.approx(1.1)


def test_calls_of_the_reference_that_were_disturbed_do_not_count():
    race = _Race(PLAN, None, best=1.0)
    race.times = [9.0, 3.0, 2.2, 2.2]
    race.paces = [9.0, 7.0, 1.0, 4.0]
    assert race.is_lost
    assert race.seconds == pytest.approx(2.2)


def test_without_another_variant_there_is_no_race():
    race = _Race(PLAN, None, best=None)
    race.times = [5.0] * 8
    assert not race.is_lost
