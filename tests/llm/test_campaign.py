"""Campaigns in which a model drafts: what reaches the judge, what is kept, what it has cost."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from outpace import environment
from outpace.codegen.drafters import DraftingTask, drafter_named
from outpace.codegen.drafters.openai import ModelDrafter
from outpace.codegen.drafters.together import TogetherDrafter
from outpace.codegen.llm.options import ModelOptions, Prices
from outpace.codegen.reference import load_reference
from outpace.errors import EnvironmentError_, UsageError
from outpace.model import Draft, Provenance, Status, Target, Variant
from outpace.tuner import api
from outpace.tuner.campaign import Campaign
from outpace.tuner.drafting import choose, draft_rounds, open_drafter
from outpace.tuner.exchanges import RecordedExchanges

KEY = "sk-secret-0123456789"
REFERENCE = """
import numpy as np
import outpace
from jaxtyping import Float64

@outpace.optimize(workloads={"small": {"n": 3000}}, inputs={"u": outpace.Uniform(-1, 1)})
def bent(u: Float64[np.ndarray, "n"], factor: float) -> Float64[np.ndarray, "n"]:
    a = u * factor
    b = a * a + u
    return np.where(b > 0.0, b * u, -b) - a
"""
FAST = """import numba

@numba.njit
def kernel(u, factor, out):
    for i in range(u.size):
        a = u[i] * factor
        b = a * a + u[i]
        out[i] = (b * u[i] if b > 0.0 else -b) - a
"""


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def as_reply(source, idea):
    return f'{{"language": "numba", "idea": "{idea}"}}\n```python\n{source}```'


def is_probe(request):
    return request["max_tokens"] == 512


# --- every drafter ------------------------------------------------------------------------------


@pytest.fixture(params=["builtin", "openai", "replay", "builtin,openai"])
def make_drafter(request, asker, model, answers, replies, tmp_path):
    """Makes a drafter of each kind; equal ones give equal drafts."""
    folder = tmp_path / "exchanges"
    bodies = [replies(f"idea {i}", f"u * factor + {i}") for i in range(4)]
    model.default = lambda r: answers.completion(*bodies[: r.get("n", 1)])

    def asking():
        made = asker(RecordedExchanges(folder))
        return ModelDrafter("openai", made, made.rounds, "fake")

    def make():
        if request.param == "builtin":
            return drafter_named("builtin")
        if request.param == "builtin,openai":
            return TogetherDrafter([drafter_named("builtin"), asking()])
        if request.param == "replay":
            return open_drafter(choose(f"replay:{folder}", ("numba",), None), tmp_path)
        return asking()

    if request.param == "replay":
        task = DraftingTask(request.getfixturevalue("reference"), TARGET, ("numba",))
        asking().propose(task)
    return make


TARGET = Target("x86_64", "some cpu", 2)


def test_every_drafter_keeps_the_protocol(make_drafter, reference):
    def drafted():
        drafter, drafts, rounds = make_drafter(), [], 0
        assert drafter.name
        while True:
            task = DraftingTask(reference, TARGET, ("numba",), round=rounds, drafts=tuple(drafts))
            proposal = drafter.propose(task)
            rounds += 1
            if proposal.is_last:
                return drafts
            drafts += proposal.drafts
            assert rounds < 10
            assert all(r.reason and r.draft.language for r in proposal.refused)

    drafts = drafted()
    assert drafts
    assert all(d.language == "numba" and d.provenance.idea for d in drafts)
    assert len({d.hash for d in drafts}) == len(drafts)
    assert [d.hash for d in drafted()] == [d.hash for d in drafts]


# --- who drafts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "with_model", "message"),
    [
        ("magic", False, "no drafter 'magic'; known are: builtin, openai, vllm, replay:FILE"),
        ("openai", False, "needs a model; write --model"),
        ("builtin", True, "the drafter openai is not asked"),
        ("builtin,builtin", False, "named twice"),
        ("replay:nowhere", False, "no recorded exchanges to repeat"),
        ("replay:a,replay:b", False, "only one recorded campaign"),
    ],
)
def test_drafters_that_cannot_be_asked_are_refused(names, with_model, message):
    model = ModelOptions("http://localhost/v1", "m") if with_model else None
    with pytest.raises(UsageError, match=message):
        choose(names, ("numba",), model)


def test_languages_without_a_prompt_are_refused():
    with pytest.raises(UsageError, match="a model cannot be asked for drafts in 'mpi'"):
        choose("openai", ("mpi",), ModelOptions("http://localhost/v1", "m"))


def test_a_server_that_does_not_answer_is_told_before_any_work(options, model, tmp_path):
    model.close()
    choice = choose("openai", ("numba",), options())
    with pytest.raises(EnvironmentError_, match=r"fake at http.* cannot be reached"):
        open_drafter(choice, tmp_path)


def test_campaigns_are_told_apart_without_addresses(options):
    told = options()
    assert choose("openai", ("numba",), told).identity != choose("openai", ("c",), told).identity
    assert "127.0.0.1" not in choose("builtin,openai", ("numba",), told).identity


def test_no_process_of_a_draft_gets_the_key():
    assert environment.model_key() == KEY
    assert KEY not in json.dumps(environment.worker_environment())


# --- the loop -----------------------------------------------------------------------------------


class Judged:
    """Stands for a campaign whose every draft is right and as fast as the one before."""

    def __init__(self, reference, *, spent_after=99):
        self.reference, self.target, self.trials = reference, TARGET, ()
        self.told, self.explored, self.refusals = [], [], []
        self.observer = SimpleNamespace(notice=self.told.append)
        self.evaluator = SimpleNamespace(
            timed=list, refuse=lambda draft, reason: self.refusals.append(reason)
        )
        self._spent_after = spent_after

    @property
    def is_spent(self):
        return len(self.explored) >= self._spent_after

    def explore(self, drafts, share):
        self.explored.append((len(drafts), share))


def test_the_model_comes_after_the_builtin_drafter_and_sees_its_drafts(
    options, model, answers, reference, tmp_path
):
    model.default = lambda r: answers.completion("prose")
    choice = choose("builtin,openai", ("numba",), options(rounds=2, samples=1))
    campaign = Judged(reference)
    drafting = draft_rounds(campaign, open_drafter(choice, tmp_path), choice)
    asked = [r["messages"][-1]["content"] for r in model.requests if not is_probe(r)]
    assert "plain numba (numba): not judged" in asked[0]
    assert [share for _, share in campaign.explored] == [pytest.approx(i / 3) for i in (1, 2, 3)]
    assert len(campaign.refusals) == 2
    assert drafting.spent.tokens == 150 * len(model.requests)
    repeated = choose(f"replay:{tmp_path}", ("numba",), None)
    again = draft_rounds(Judged(reference), open_drafter(repeated, tmp_path), repeated)
    assert again.spent is None


def test_a_spent_budget_ends_the_rounds(options, model, reference, tmp_path):
    choice = choose("openai", ("numba",), options(rounds=4, samples=1))
    draft_rounds(Judged(reference, spent_after=1), open_drafter(choice, tmp_path), choice)
    assert len([r for r in model.requests if not is_probe(r)]) == 1


def test_no_draft_of_a_model_passes_for_plain_numba():
    """It would set the measure of every table."""
    campaign = Campaign.__new__(Campaign)
    found = {
        who: SimpleNamespace(
            variant=Variant(Draft("numba", who, provenance=Provenance(who, "plain numba"))),
            seconds={"small": seconds},
        )
        for who, seconds in (("openai", 9.0), ("builtin", 4.0))
    }
    campaign._evaluator = SimpleNamespace(evaluations=found)
    assert campaign._over_numba(SimpleNamespace(seconds={"small": 2.0})) == {"small": 2.0}


# --- through the judge --------------------------------------------------------------------------


@pytest.fixture
def tuned(options, model, answers, tmp_path):
    """Tunes the reference with a model that replies with these sources, by idea."""

    def tune(**sources):
        file = tmp_path / "module_of_a_model.py"
        file.write_text(REFERENCE)
        texts = [as_reply(source, idea) for idea, source in sources.items()]
        model.default = lambda r: answers.completion(
            *(["hm"] if is_probe(r) else [texts.pop()]), usage=(300, 300)
        )
        return api.tune(
            load_reference(f"{file}:bent"),
            drafter="openai",
            model=options(rounds=1, samples=len(sources), prices=Prices(1.0, 1.0)),
            promoted=tmp_path / "promoted",
        )

    return tune


def test_a_models_drafts_are_judged_and_say_what_they_cost(tuned, model, tmp_path):
    slow = FAST.replace("for i", "for _ in range(99):\n      for i")
    hostile = FAST.replace("import numba", "import os, numba")
    result = tuned(wrong=FAST.replace("- a", "+ a"), slow=slow, hostile=hostile)
    assert {trial.label: trial.status for trial in result.trials} == {
        "wrong": Status.WRONG,
        "slow": Status.NOT_FASTER,
        "hostile": Status.INVALID,
    }
    assert {trial.tokens for trial in result.trials} == {600}
    assert all(trial.cost == pytest.approx(6e-4) for trial in result.trials)
    assert result.spent.tokens == 600 * len(model.requests)
    assert result.cost_per_promotion is None
    held = [path for path in Path(tmp_path).rglob("*") if path.is_file()]
    assert held
    assert not [path for path in held if KEY.encode() in path.read_bytes()]


@pytest.mark.soak
def test_a_models_draft_is_promoted_and_its_cost_told(tuned):
    result = tuned(fast=FAST)
    assert result.promotion.variant.draft.provenance.model == "fake"
    assert result.cost_per_promotion == pytest.approx(result.spent.cost)
