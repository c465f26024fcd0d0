"""Requests to a model over a real connection: what goes wrong, what it costs, what is kept."""

import random
import string
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.codegen.llm.asking import Stopped
from outpace.codegen.llm.budget import Ledger
from outpace.codegen.llm.constraint import Enforcement
from outpace.codegen.llm.exchange import ChatMessage, Exchange, KeptExchanges, Rounds, Usage
from outpace.codegen.llm.options import ModelOptions, Prices
from outpace.codegen.llm.probe import probe
from outpace.codegen.llm.transport import Transport, Trouble
from outpace.errors import EnvironmentError_, UsageError

PROMPT = (ChatMessage("user", "Write a kernel."),)
KEY = "sk-secret-0123456789"


def test_replies_and_usage_come_back_and_are_kept(asker, model, answers):
    model.answers = [answers.completion("one", "two", usage=(7, 11))]
    asking = asker()
    exchange = asking.ask("0/0/0", PROMPT, 2)
    assert [r.text for r in exchange.replies] == ["one", "two"]
    assert exchange.usage == Usage(7, 11)
    assert asking.kept.all() == (exchange,)
    assert model.requests[0]["n"] == 2
    assert model.requests[0]["max_tokens"] == 500
    assert asking.ask("0/0/0", PROMPT, 2) == exchange
    assert len(model.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_servers_are_asked_again_after_growing_waits(asker, model, answers, status):
    model.answers = [answers.of({"error": {"message": "later"}}, status)] * 2
    asking = asker()
    assert asking.ask("0/0/0", PROMPT, 1).replies
    assert len(model.requests) == 3
    assert asking.ledger.spent.requests == 1
    first, second = asking.waits
    assert 0.001 <= first <= 0.002 <= second <= 0.004


def test_the_wait_that_a_server_asks_for_is_kept(asker, model, answers):
    model.answers = [answers.of({}, 429, {"Retry-After": "7"})]
    asking = asker()
    asking.ask("0/0/0", PROMPT, 1)
    assert asking.waits == [7.0]


def test_a_server_that_stays_busy_ends_drafting(asker, model, answers):
    model.default = lambda _: answers.of({"error": {"message": "overloaded"}}, 500)
    asking = asker()
    with pytest.raises(Stopped, match=r"HTTP 500.*overloaded") as stopped:
        asking.ask("0/0/0", PROMPT, 1)
    assert stopped.value.failure.trouble is Trouble.BUSY
    assert len(model.requests) == 3
    assert asking.ledger.spent.tokens == 0


@pytest.mark.parametrize("how", ["never", "trickling"])
def test_slow_servers_are_given_up_and_charged_in_full(asker, model, answers, how):
    model.default = lambda _: answers.of(b"{", how=how)
    asking = asker(request_seconds=0.2)
    with pytest.raises(Stopped, match="did not answer in time"):
        asking.ask("0/0/0", PROMPT, 2)
    assert len(model.requests) == 1
    spent = asking.ledger.spent
    assert spent.completion_tokens == 1000
    assert spent.estimated
    assert asking.kept.all()[0].replies == ()


def test_answers_that_break_off_are_charged_and_asked_again(asker, model, answers):
    model.answers = [answers.of(b'{"choices": [', missing=100)]
    asking = asker()
    assert asking.ask("0/0/0", PROMPT, 1).replies
    assert [bool(e.replies) for e in asking.kept.all()] == [False, True]
    assert asking.ledger.spent.completion_tokens == 500 + 50


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{"message": 3}]}']
)
def test_malformed_answers_end_drafting(asker, model, answers, body):
    model.default = lambda _: answers.of(body)
    with pytest.raises(Stopped, match="not a list of replies"):
        asker().ask("0/0/0", PROMPT, 1)


def test_a_server_that_is_not_there_says_so(asker, model):
    model.close()
    asking = asker()
    with pytest.raises(Stopped, match="cannot be reached"):
        asking.ask("0/0/0", PROMPT, 1)
    assert asking.ledger.spent.requests == 0


def test_rejected_keys_end_drafting_at_once(asker, model, answers):
    model.default = lambda _: answers.of({"error": {"message": f"bad key {KEY}"}}, 401)
    with pytest.raises(Stopped, match=r"HTTP 401.*bad key \[key\]"):
        asker().ask("0/0/0", PROMPT, 1)
    assert len(model.requests) == 1
    assert model.keys == [f"Bearer {KEY}"]


def test_keys_that_a_server_echoes_are_not_kept(asker, model, answers):
    model.answers = [answers.completion(f"your key is {KEY}")]
    asking = asker()
    assert asking.ask("0/0/0", PROMPT, 1).replies[0].text == "your key is [key]"


@pytest.mark.parametrize("parameter", ["max_tokens", "temperature", "n"])
def test_rejected_parameters_are_left_out(asker, model, answers, parameter):
    rejection = {"error": {"message": "no", "param": parameter, "code": "unsupported_parameter"}}
    model.answers = [answers.of(rejection, 400)]
    asker().ask("0/0/0", PROMPT, 2)
    assert parameter in model.requests[0]
    assert parameter not in model.requests[1]


def test_usage_that_is_missing_is_estimated_from_above(asker, model, answers):
    model.answers = [answers.completion("x" * 400, usage=None)]
    asking = asker()
    usage = asking.ask("0/0/0", PROMPT, 1).usage
    assert not usage.reported
    assert usage.completion >= 200
    assert asking.ledger.spent.estimated


def test_negative_usage_is_no_credit(asker, model, answers):
    model.answers = [answers.completion("x", usage=(-1000, -1000))]
    asking = asker()
    asking.ask("0/0/0", PROMPT, 1)
    assert asking.ledger.spent.tokens > 0


def ask_often(asking):
    for part in range(100):
        asking.ask(f"0/0/{part}", PROMPT, 1)


# --- budgets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("truth", [(100, 500), (100, 4000)])
def test_the_budget_of_tokens_is_overrun_by_no_more_than_one_request(asker, model, answers, truth):
    model.default = lambda _: answers.completion("x", usage=truth)
    asking = asker(most_tokens=3000)
    with pytest.raises(Stopped, match="budget for drafting is spent"):
        ask_often(asking)
    before_last = sum(e.usage.total for e in asking.kept.all()[:-1])
    assert before_last < 3000
    if truth[1] <= 500:  # a server that keeps to `max_tokens`
        assert asking.ledger.spent.tokens <= 3000


def test_the_budget_of_money_ends_drafting(asker, model, answers):
    model.default = lambda _: answers.completion("x", usage=(1000, 500))
    asking = asker(most_cost=0.01, prices=Prices(1.0, 4.0))
    with pytest.raises(Stopped, match=r"budget for drafting is spent: \d+ tokens, \$0.00"):
        ask_often(asking)
    assert 0.005 < asking.ledger.spent.cost <= 0.01


def test_earlier_runs_count(asker, model, answers):
    kept = KeptExchanges()
    usage = Usage(1000, 1900)
    kept.keep(Exchange("0/0/0", "fake", Rounds(1, 1, ("numba",)), 1, PROMPT, (), usage, 0.0))
    with pytest.raises(Stopped, match="2900 tokens"):
        asker(kept, most_tokens=3000).ask("0/0/1", PROMPT, 1)
    assert model.requests == []


def test_time_that_is_over_ends_drafting(asker, model):
    asking = asker(most_minutes=1e-9)
    with pytest.raises(Stopped, match="time for drafting is over"):
        asking.ask("0/0/0", PROMPT, 1)
    assert model.requests == []


def test_a_small_context_shortens_replies_and_refuses_prompts(asker, model):
    asking = asker()
    asking.context = 300
    asking.ask("0/0/0", PROMPT, 1)
    assert model.requests[0]["max_tokens"] < 300
    asking.context = 50
    with pytest.raises(Stopped, match="leaves no room for a reply"):
        asking.ask("0/0/1", PROMPT, 1)


@given(
    most=st.integers(1, 10**6),
    prompt=st.integers(0, 10**5),
    samples=st.integers(1, 16),
    reply=st.integers(1, 10**5),
    prices=st.tuples(st.floats(0, 100), st.floats(0, 100)),
    dollars=st.floats(1e-6, 10),
)
def test_what_is_allowed_fits_into_the_budget(most, prompt, samples, reply, prices, dollars):
    options = ModelOptions(
        "http://localhost", "m", most_tokens=most, most_cost=dollars, prices=Prices(*prices)
    )
    ledger = Ledger(options)
    allowed = ledger.allowance(prompt, samples, reply)
    if allowed is not None:
        assert 1 <= allowed.samples <= samples
        assert 1 <= allowed.reply_tokens <= reply
        usage = Usage(prompt, allowed.samples * allowed.reply_tokens)
        assert usage.total <= most
        assert ledger.cost_of(usage) <= dollars * (1 + 1e-9)


# --- the probe ----------------------------------------------------------------------------------


def test_the_probe_sees_a_form_that_is_enforced(asker, model, answers):
    model.answers = [answers.completion("outpace-1234", "outpace-0000")]
    found = probe(asker())
    assert found.enforcement is Enforcement.REGEX
    assert found.several
    assert found.usage
    assert model.requests[0]["structured_outputs"] == {"regex": "outpace-[0-9]{4}"}


def test_the_probe_sees_what_is_ignored(asker, model, answers):
    model.default = lambda _: answers.completion("Tuesday", usage=None)
    found = probe(asker())
    assert found.enforcement is None
    assert not found.several
    assert not found.usage
    assert len(model.requests) == 3


def test_the_probe_goes_on_where_a_form_is_rejected(asker, model, answers):
    model.answers = [
        answers.of({"error": {"message": "unknown field"}}, 400),
        answers.completion("outpace-4711", "outpace-4712"),
    ]
    found = probe(asker())
    assert found.enforcement is Enforcement.GRAMMAR
    assert "grammar" in model.requests[1]


def test_a_second_probe_asks_nobody(asker, model, answers):
    asking = asker()
    first = probe(asking)
    count = len(model.requests)
    assert probe(asking) == first
    assert len(model.requests) == count


def test_a_missing_client_is_named(options, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(EnvironmentError_, match=r"pip install 'outpace\[llm\]'"):
        Transport(options(), None)


# --- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_url": "localhost:8000"}, "no base URL"),
        ({"base_url": "http://user:secret@host/v1"}, "keys belong into OPENAI_API_KEY"),
        ({"base_url": "https://host/v1?key=secret"}, "keys belong into OPENAI_API_KEY"),
        ({"model": ""}, "the model needs a name"),
        ({"samples": 0}, "samples must be positive"),
        ({"most_minutes": float("nan")}, "minutes must be positive"),
        ({"base_url": "https://host/v1", "most_cost": 1.0}, "needs the prices of tokens"),
    ],
)
def test_options_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(UsageError, match=message) as refused:
        ModelOptions(**{"base_url": "http://localhost/v1", "model": "m", **changes})
    assert "secret" not in str(refused.value)


def test_campaigns_of_other_models_are_others():
    names = {ModelOptions("http://localhost/v1", name).identity for name in string.ascii_letters}
    assert len(names) == len(string.ascii_letters)
    rounds = random.Random(0).sample(range(1, 100), 10)
    assert len({ModelOptions("http://localhost", "m", rounds=r).identity for r in rounds}) == 1
