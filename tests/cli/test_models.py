"""Options that say which model drafts, what the summary says it cost, and the prompt."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from outpace.cli import models
from outpace.cli.summary import show_campaign
from outpace.codegen.llm.budget import Spent
from outpace.codegen.llm.constraint import Enforcement
from outpace.codegen.llm.options import ModelOptions, Prices
from outpace.codegen.llm.probe import Abilities
from outpace.errors import EnvironmentError_
from outpace.tuner import api, drafting, worth

ASKED = ("--drafter", "builtin,openai", "--model", "m", "--base-url", "http://localhost:8000/v1")


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_options_of_a_model_reach_the_tuner(outpace, fake_api, make, reference):
    fake_api.result = make.result()
    done = outpace(
        "tune", reference, *ASKED, "--rounds", 3, "--samples", 5, "--max-tokens-total", 1000,
        "--max-cost", 2.5, "--max-minutes", 20, "--price", "0.15,0.60", "--no-docstrings",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    (call,) = fake_api.calls
    assert call["drafter"] == "builtin,openai"
    assert call["budget"] == api.Budget(minutes=20)
    assert call["model"] == ModelOptions(
        "http://localhost:8000/v1",
        "m",
        rounds=3,
        samples=5,
        docstrings=False,
        most_tokens=1000,
        most_cost=2.5,
        most_minutes=20,
        prices=Prices(0.15, 0.6),
    )


def test_the_address_may_come_from_the_environment(outpace, fake_api, make, reference, monkeypatch):
    fake_api.result = make.result()
    monkeypatch.setenv("OPENAI_BASE_URL", "https://models.example/v1")
    assert outpace("tune", reference, "--drafter", "openai", "--model", "m").exit_code == 0
    assert fake_api.calls[0]["model"].base_url == "https://models.example/v1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--drafter", "openai"), "write --model NAME and"),
        (("--drafter", "openai", "--model", "m"), "--base-url http://localhost:8000/v1"),
        (("--model", "m"), "--model needs --drafter openai"),
        ((*ASKED, "--price", "cheap"), "write --price 0.15,0.60"),
        ((*ASKED, "--max-minutes", "0"), "--max-minutes must be positive"),
        ((*ASKED, "--samples", "0"), "samples must be positive"),
        (("--budget", "5m", "--max-minutes", "-1"), "--max-minutes must be positive"),
    ],
)
def test_options_that_make_no_sense_are_refused(outpace, fake_api, reference, options, message):
    done = outpace("tune", reference, *options)
    assert done.exit_code == 2
    assert message in done.stderr
    assert fake_api.calls == []


def test_the_cost_is_told(outpace_json, fake_api, make, reference):
    spent = Spent(4, 1000, 234, 0.5, estimated=True)
    plain = replace(make.result(), spent=spent)
    promoted = replace(make.result(promotion=make.promotion(), path=Path("/p")), spent=spent)
    for result, told in (
        (plain, "cost at most 1234 tokens in 4 requests, $0.5000; no kernel was promoted"),
        (promoted, "$0.5000 and 1234 tokens per promoted kernel"),
    ):
        out = StringIO()
        show_campaign(Console(file=out, width=200), result, None)
        assert told in out.getvalue()
    fake_api.result = plain
    _, answer = outpace_json("tune", reference)
    assert answer["spent"] == {
        "requests": 4,
        "prompt_tokens": 1000,
        "completion_tokens": 234,
        "cost": 0.5,
        "estimated": True,
        "cost_per_promotion": None,
    }


def test_what_the_loop_bought_is_told(outpace, fake_api, make, reference):
    side = worth.Side(8, 900, "loops", 2.0)
    fake_api.result = replace(make.result(), worth=worth.Worth(side, None, worth.Missing(1, 8)))
    done = outpace("tune", reference)
    assert "2.00x screened as the best of 8 in rounds, for 900 tokens" in done.stdout
    assert "--rounds 1 --samples 8 would tell" in done.stdout


def test_the_prompt_is_shown_and_nobody_is_asked(outpace, outpace_json, reference):
    done = outpace("draft", reference, "--show-prompt", "--language", "c")
    assert done.exit_code == 0
    assert "void kernel(int64_t n, const double *restrict u, double factor" in done.stdout
    code, answer = outpace_json("draft", reference, "--show-prompt")
    assert code == 0
    assert [message["role"] for message in answer["prompt"]] == ["system", "user"]


def test_the_doctor_tells_what_a_server_can_do(monkeypatch):
    options = ModelOptions("http://localhost:8000/v1", "m")
    found = drafting.ModelFacts(Abilities(Enforcement.REGEX, several=False, usage=True), 4096)
    monkeypatch.setattr(drafting, "examine_model", lambda _: found)
    told = {f.name: (f.ok, f.value) for f in models.model_findings(options)}
    assert told["model: form of replies"] == (True, "enforced through structured_outputs.regex")
    assert told["model: replies at once"][0] is False
    assert told["model: context"] == (True, "4096 tokens")

    def unreachable(_):
        raise EnvironmentError_("nobody there")

    monkeypatch.setattr(drafting, "examine_model", unreachable)
    (finding,) = models.model_findings(options)
    assert finding.essential
    assert not finding.ok
    assert finding.hint == "nobody there"


def test_the_doctor_needs_to_know_which_server(outpace):
    done = outpace("doctor", "--llm")
    assert done.exit_code == 2
    assert "write --model NAME" in done.stderr
