"""What the loop bought: campaigns of several rounds against those of one, at equal tokens."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.cli.payloads import tuned
from outpace.cli.summary import what_the_loop_bought
from outpace.codec import content_hash
from outpace.codegen.llm.exchange import ChatMessage, Exchange, Reply, Rounds, Usage
from outpace.codegen.parse import parse_reply
from outpace.codegen.reference import load_reference
from outpace.kernels.target import current_target
from outpace.model import Grade, Provenance, Speedup, Status, Variant
from outpace.tuner.api import Result, tune
from outpace.tuner.evaluate import trial_of
from outpace.tuner.exchanges import RecordedExchanges
from outpace.tuner.journal import CampaignStarted, Journal, Screened, TrialRecord, campaign_id
from outpace.tuner.training.export import export
from outpace.tuner.training.formats import Format
from outpace.tuner.worth import Better, Missing, Side, Worth, worth_of


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """No crash of the machine is survived here."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def write(tmp_path):
    """Writes a campaign; each of its rounds is what its drafts scored, None for a wrong one."""

    def campaign(
        *rounds, drafter="openai:m:{}", tokens=100, confirmed=(), replayed=None, **changes
    ):
        name = drafter.format(content_hash(rounds))
        told = {"source_hash": "s", "target": "t", "model": "m", "workload": "large", **changes}
        started = ("heat:heat", told["source_hash"], told["target"], name)
        folder = tmp_path / "campaigns" / campaign_id(*started)
        exchanges = RecordedExchanges(replayed or folder / "exchanges")
        exchanges.keep(probe(told["model"]))
        with Journal(folder) as journal:
            journal.append(
                CampaignStarted(
                    reference=started[0],
                    source_hash=started[1],
                    target=started[2],
                    drafter=name,
                    version="1",
                )
            )
            for position, scores in enumerate(rounds):
                texts = [reply(f"{position}.{i} of {score}") for i, score in enumerate(scores)]
                exchanges.keep(
                    Exchange(
                        f"{position}/0/0",
                        told["model"],
                        Rounds(len(rounds), len(scores), ("numba",)),
                        len(texts),
                        (ChatMessage("user", str(position)),),
                        tuple(Reply(text, "stop") for text in texts),
                        Usage(tokens * len(texts), 0),
                        0.0,
                    )
                )
                for text, score in zip(texts, scores, strict=True):
                    judge(journal, text, score, told["workload"], score in confirmed)
        return folder

    return campaign


def probe(model):
    rounds = Rounds(1, 1, ("numba",))
    question = (ChatMessage("user", "hello"),)
    return Exchange("probe", model, rounds, 1, question, (Reply("hi", "stop"),), Usage(999, 1), 0.0)


def reply(idea):
    return f'{{"language": "numba", "idea": "{idea}"}}\n```python\nx = "{idea}"\n```\n'


def judge(journal, text, score, workload, is_confirmed):
    variant = Variant(parse_reply(text, "stop", ("numba",), Provenance("openai", model="m")))
    if score is not None:
        journal.append(Screened(variant=variant, grade=Grade.A, ratios={workload: score}))
    status = Status.WRONG if score is None else Status.NOT_FASTER
    gain = Speedup(score, 0.9 * score, 1.1 * score) if is_confirmed else None
    trial = trial_of(
        variant, Status.FASTER if is_confirmed else status, "", workload=workload, speedup=gain
    )
    journal.append(TrialRecord(trial=trial, variant=variant))


def test_rounds_are_compared_with_samples_at_equal_tokens(write):
    loop = write([1.0, 2.0], [None, 4.0], [9.0, 9.0], confirmed=(4.0,))
    single = write([1.5, None, 3.0, 2.5])
    found = worth_of(loop)
    assert found.loop == Side(4, 400, "1.1 of 4.0", pytest.approx(4.0), Speedup(4.0, 3.6, 4.4))
    assert found.samples == Side(4, 400, "0.2 of 3.0", pytest.approx(3.0))
    assert found.better is Better.LOOP
    assert found.missing is None
    assert worth_of(single) == found
    assert what_the_loop_bought(found) == (
        "what the loop bought: 4.00x screened, 4.00x [3.60x, 4.40x] confirmed, as the best of 4 in "
        "rounds, 3.00x screened as the best of 4 samples of the first prompts, for 400 tokens "
        "each: the rounds have paid"
    )


def test_what_was_asked_beyond_equal_tokens_does_not_count(write):
    loop = write([1.0], [2.0])
    write([1.0, 2.0, 8.0, 8.0])
    found = worth_of(loop)
    assert (found.loop.replies, found.samples.replies) == (2, 2)
    assert found.better is Better.NEITHER
    assert "screening cannot tell them apart" in what_the_loop_bought(found)


def test_samples_may_have_been_better(write):
    loop = write([1.0], [None])
    write([1.0, 2.0])
    found = worth_of(loop)
    assert found.better is Better.SAMPLES
    assert "the rounds have not paid" in what_the_loop_bought(found)


def test_without_the_other_campaign_it_says_what_to_run(write):
    loop = worth_of(write([1.0, 2.0], [3.0, None], tokens=50))
    assert loop == Worth(Side(4, 200, "1.0 of 3.0", pytest.approx(3.0)), None, Missing(1, 4))
    assert what_the_loop_bought(loop) == (
        "what the loop bought is not known yet: 3.00x screened as the best of 4 in rounds, for 200 "
        "tokens; a campaign with --rounds 1 --samples 4 would tell"
    )


def test_a_single_round_says_which_rounds_to_run(write):
    found = worth_of(write([None] * 12))
    assert found == Worth(None, Side(12, 1200), Missing(4, 3))
    assert "nothing right among 12 samples of the first prompts" in what_the_loop_bought(found)
    assert "--rounds 4 --samples 3 would tell" in what_the_loop_bought(found)


@pytest.mark.parametrize(
    "other",
    [
        {"source_hash": "another"},
        {"target": "another"},
        {"model": "another"},
        {"workload": "small"},
        {"drafter": "builtin+openai:m:{}"},
    ],
)
def test_campaigns_under_other_conditions_are_not_compared(write, other):
    loop = write([1.0], [2.0])
    write([1.0, 2.0], **other)
    assert worth_of(loop).samples is None


def test_replayed_campaigns_count_the_tokens_of_what_they_repeat(write, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    loop = write([1.0], [2.0], drafter=f"replay:{first}", replayed=first)
    write([1.0, 1.0], drafter=f"replay:{second}", replayed=second)
    found = worth_of(loop)
    assert (found.loop.tokens, found.samples.tokens) == (200, 200)
    assert found.better is Better.LOOP


def test_the_most_that_was_sampled_is_what_counts(write):
    loop = write([1.0], [1.0], [2.0])
    write([1.0])
    write([1.0, 1.0, 5.0])
    assert worth_of(loop).samples.screened == pytest.approx(5.0)


def test_where_no_model_drafted_there_is_nothing_to_tell(write, tmp_path):
    assert worth_of(write()) is None
    assert worth_of(tmp_path / "nowhere") is None


def test_scripts_get_the_comparison(write):
    write([1.0, 2.0])
    found = worth_of(write([1.0], [3.0], confirmed=(3.0,)))
    result = Result("heat:heat", current_target(), (), None, None, None, worth=found)
    told = tuned(result)["loop"]
    assert told["better"] == "loop"
    assert told["missing"] is None
    assert told["loop"]["confirmed"] == {"median": 3.0, "low": 2.7, "high": pytest.approx(3.3)}
    assert told["samples"] == {
        "replies": 2, "tokens": 200, "idea": "0.1 of 2.0", "screened": pytest.approx(2.0),
        "confirmed": None,
    }  # fmt: skip


REFERENCE = """# SPDX-License-Identifier: MIT
import numpy as np
import outpace
from jaxtyping import Float64

@outpace.optimize(workloads={"small": {"n": 50000}}, inputs={"u": outpace.Uniform(-1, 1)})
def bent(u: Float64[np.ndarray, "n"], factor: float) -> Float64[np.ndarray, "n"]:
    a = u * factor
    return np.where(a > 0.0, a * u, -a) - a
"""
KERNEL = """import numba

@numba.njit
def kernel(u, factor, out):
    for _ in range({}):
        for i in range(u.size):
            a = u[i] * factor
            out[i] = (a * u[i] if a > 0.0 else -a) {} a
"""


@pytest.mark.soak
def test_recorded_campaigns_are_judged_compared_and_exported(tmp_path, monkeypatch):
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "xdg" / name.lower()))
    file = tmp_path / "module_of_rounds.py"
    file.write_text(REFERENCE)
    reference = load_reference(f"{file}:bent")
    slow, wrong, fast = KERNEL.format(9, "-"), KERNEL.format(1, "+"), KERNEL.format(1, "-")
    record(tmp_path / "loop", [slow, wrong], [fast])
    record(tmp_path / "single", [slow, wrong, KERNEL.format(5, "-")])
    for name in ("loop", "single"):
        result = tune(
            reference, drafter=f"replay:{tmp_path / name}", promoted=tmp_path / "promoted"
        )
    assert (result.worth.loop.replies, result.worth.samples.replies) == (3, 3)
    assert result.worth.loop.screened is not None
    assert result.worth.samples.screened is not None
    exported = export([], Format.KTO, tmp_path / "data", references=[reference], test_share=0.0)
    rows = [json.loads(line) for line in exported.files[0].read_text().splitlines()]
    labels = {row["completion"][0]["content"]: row["label"] for row in rows}
    assert labels[as_reply(wrong)] is False
    assert {row["license"] for row in rows} == {"MIT"}


def as_reply(source):
    return f'{{"language": "numba", "idea": "loops"}}\n```python\n{source}```\n'


def record(folder, *rounds):
    exchanges = RecordedExchanges(folder)
    for position, sources in enumerate(rounds):
        asked = Rounds(len(rounds), len(sources), ("numba",))
        prompt = (ChatMessage("user", f"round {position}"),)
        replies = tuple(Reply(as_reply(source), "stop") for source in sources)
        usage = Usage(0, 10 * len(sources))
        exchanges.keep(
            Exchange(f"{position}/0/0", "m", asked, len(sources), prompt, replies, usage, 0.0)
        )


@given(
    st.lists(st.one_of(st.none(), st.floats(0.1, 10)), min_size=1, max_size=3),
    st.lists(st.one_of(st.none(), st.floats(0.1, 10)), min_size=1, max_size=3),
)
def test_the_better_side_is_clearly_better(loop, samples):
    def best(scores):
        return max((s for s in scores if s is not None), default=None)

    worth = Worth(Side(1, 1, "", best(loop)), Side(1, 1, "", best(samples)))
    a, b = best(loop) or 0.0, best(samples) or 0.0
    expected = Better.LOOP if a > 1.1 * b else Better.SAMPLES if b > 1.1 * a else Better.NEITHER
    assert worth.better is expected
