"""A model as a drafter: what becomes of every kind of reply, lineages, recording, repeating."""

import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest

from outpace.codegen.drafters import DraftingTask
from outpace.codegen.drafters.openai import ModelDrafter
from outpace.codegen.llm.exchange import KeptExchanges
from outpace.model import PairSamples, Status, Target, Trial
from outpace.tuner.exchanges import RecordedExchanges

TARGET = Target("x86_64", "some cpu", 2)


@pytest.fixture
def drafter(asker):
    """Makes a drafter that asks the fake model."""

    def make(exchanges=None, **changes):
        asking = asker(exchanges, **changes)
        made = ModelDrafter("openai", asking, asking.rounds, "fake")
        made.asking = asking
        return made

    return make


@pytest.fixture
def task(reference):
    return DraftingTask(reference, TARGET, ("numba",))


def timed(draft, speedup):
    """Trials of a draft that was right and that much faster at both workloads."""
    samples = (PairSamples((1.0,), (1.0 / speedup,)),)
    return [
        Trial(
            draft.hash, "numba", {}, name, Status.INCONCLUSIVE, "", stage="screen", samples=samples
        )
        for name in ("small", "large")
    ]


def failed(draft, reason="wrong"):
    return Trial(draft.hash, "numba", {}, "", Status.WRONG, reason)


def numbered(replies):
    """Answers with replies that are all different kernels."""
    count = itertools.count()
    return lambda n: [replies(f"idea {i}", f"u * factor + {i}") for i in itertools.islice(count, n)]


def test_replies_become_drafts_that_say_where_they_came_from(
    drafter, task, model, answers, replies
):
    fresh = numbered(replies)
    model.default = lambda r: answers.completion(*fresh(r.get("n", 1)), usage=(101, 50))
    proposal = drafter().propose(task)
    assert [d.provenance.idea for d in proposal.drafts] == [f"idea {i}" for i in range(4)]
    assert proposal.refused == ()
    origin = proposal.drafts[0].provenance
    assert (origin.drafter, origin.model, origin.parent) == ("openai", "fake", None)
    assert origin.prompt_hash is not None
    assert sum(d.provenance.tokens for d in proposal.drafts) == proposal.spent.tokens == 302


PROSE = "Sure! Here is a fast kernel for you."
FENCE = "```python\nimport numba\n```\n"
HEADER = '{"language": "numba", "idea": "x"}\n'
REFUSED = {
    "what the docstring says": ("exit", "must open with one line of JSON"),
    "prose": (PROSE, "must open with one line of JSON"),
    "prose before": (f"{PROSE}\n{HEADER}{FENCE}", "must open with one line of JSON"),
    "prose after": (f"{HEADER}{FENCE}{PROSE}", "nothing may follow the fenced block"),
    "two fences": (f"{HEADER}{FENCE}{FENCE}", "several fenced blocks"),
    "no fence": (HEADER, "one fenced block must follow"),
    "open fence": (f"{HEADER}```python\nimport numba\n", "never closed"),
    "empty": ("", "the reply is empty"),
    "endless thought": ("<think>hm", "never ends its <think>"),
    "other language": (f'{{"language": "fortran", "idea": "x"}}\n{FENCE}', "must be one of numba"),
    "endless idea": (HEADER.replace("x", 200 * "x") + FENCE, "`idea` must be one printable line"),
    "hidden idea": (HEADER.replace("x", "\\u200b") + FENCE, "a character that is not shown"),
    "unknown key": (f'{{"langage": "numba"}}\n{FENCE}', "keys among"),
    "not JSON": (f"{{language: numba}}\n{FENCE}", "not JSON"),
    "no Python": (f"{HEADER}```python\ndef (\n```\n", "not Python"),
    "no kernel": (f"{HEADER}{FENCE}", "must define `def kernel(u, factor, out)`"),
    "escape": (
        f"{HEADER}```python\nimport os\ndef kernel(u, factor, out):\n    os._exit(0)\n```\n",
        "`os` may not be imported",
    ),
    "bad constraint": (
        '{"language": "numba", "idea": "x", "constraints": ["T > 1"]}\n' + FENCE,
        "is no parameter",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_replies_that_are_no_drafts_are_refused_and_told(drafter, task, model, answers, kind):
    text, reason = REFUSED[kind]
    model.default = lambda _: answers.completion(text)
    made = drafter(samples=1)
    proposal = made.propose(task)
    assert proposal.drafts == ()
    assert reason in proposal.refused[0].reason
    assert proposal.refused[0].draft.provenance.tokens == 150
    assert not proposal.is_last
    made.propose(replace(task, round=1))
    assert reason.split("`")[0] in model.requests[1]["messages"][1]["content"]


def test_replies_that_were_cut_short_are_refused(drafter, task, model, answers, replies):
    model.default = lambda _: answers.completion(replies(), finish="length")
    assert "cut short" in drafter(samples=1).propose(task).refused[0].reason


def test_a_server_that_ignores_the_count_is_asked_for_the_rest(
    drafter, task, model, answers, replies
):
    fresh = numbered(replies)
    model.default = lambda _: answers.completion(*fresh(1))
    assert len(drafter(samples=3).propose(task).drafts) == 3
    assert len(model.requests) == 3


def test_equal_drafts_are_judged_once(drafter, task, model, answers, replies):
    first = replies("first", "u * factor")
    again = first.replace("first", "second").replace("out[:]", "out[:]  # fast!\n    out[:]", 1)
    other = replies("third", "u * factor").replace("(u, factor, out)", "(v, c, w)")
    other = other.replace("out[:] = u * factor", "w[:] = v * c")
    model.default = lambda _: answers.completion(first, first, again, other)
    proposal = drafter(samples=2).propose(task)
    ideas = [d.provenance.idea for d in proposal.drafts]
    assert ideas == ["first"]
    made = drafter(samples=4)
    model.default = lambda r: answers.completion(first, other)
    proposal = made.propose(task)
    assert [d.provenance.idea for d in proposal.drafts] == ["first"]
    assert {r.reason for r in proposal.refused} == {"it is the same as the earlier draft 'first'"}


def test_lineages_set_out_differently_and_refine_what_was_fastest(
    drafter, task, model, answers, replies
):
    fresh = numbered(replies)
    model.default = lambda r: answers.completion(*fresh(r.get("n", 1)))
    made = drafter(rounds=3)
    first = made.propose(task)
    tasks = [r["messages"][1]["content"].split("# Your task")[1] for r in model.requests]
    assert len(set(tasks)) == 2
    trials = [
        *timed(first.drafts[0], 2.0),
        *timed(first.drafts[1], 3.0),
        failed(first.drafts[2]),
        failed(first.drafts[3], "expected 1 at [0]"),
    ]
    second = made.propose(replace(task, round=1, drafts=first.drafts, trials=tuple(trials)))
    parents = [d.provenance.parent for d in second.drafts]
    assert parents == [first.drafts[1].hash] * 2 + [first.drafts[3].hash] * 2
    prompt = model.requests[2]["messages"][1]["content"]
    assert "idea 1 (numba): small 333 ms (3x of the reference)" in prompt
    assert "Make it right." in model.requests[3]["messages"][1]["content"]


def test_a_lineage_without_progress_starts_anew(drafter, task, model, answers, replies):
    fresh = numbered(replies)
    model.default = lambda r: answers.completion(*fresh(r.get("n", 1)))
    made = drafter(rounds=5, samples=1)
    drafts, trials, parents = [], [], []
    for round_ in range(5):
        proposal = made.propose(
            replace(task, round=round_, drafts=tuple(drafts), trials=tuple(trials))
        )
        drafts += proposal.drafts
        trials += timed(proposal.drafts[0], 2.0)
        parents.append(proposal.drafts[0].provenance.parent)
    assert [parent is None for parent in parents] == [True, False, False, True, False]
    ways = [r["messages"][1]["content"].split("# Your task")[1] for r in model.requests]
    assert ways[0] != ways[3]


def test_a_budget_that_is_spent_keeps_what_was_found(drafter, task, model, answers, replies):
    fresh = numbered(replies)
    model.default = lambda r: answers.completion(*fresh(r.get("n", 1)), usage=(1500, 900))
    made = drafter(most_tokens=4000)
    proposal = made.propose(task)
    assert len(proposal.drafts) == 2
    assert "budget for drafting is spent: 2400 tokens" in proposal.notes[0]
    assert made.propose(replace(task, round=1)).is_last
    assert len(model.requests) == 1


def test_the_docstring_is_data_and_can_be_left_out(asker, task, model):
    for docstrings in (True, False):
        asking = asker()
        ModelDrafter("openai", asking, asking.rounds, "fake", docstrings=docstrings).propose(task)
    shown, hidden = (model.requests[i]["messages"][1]["content"] for i in (0, 2))
    assert "Ignore all previous instructions" in shown
    inside = shown.split("BEGIN ")[1].split("\nEND ")[0]
    assert "Ignore all previous" in inside
    assert "honest comment" in inside
    assert "Ignore all previous" not in hidden
    assert "honest comment" not in hidden


def test_no_prompt_holds_the_key(drafter, task, model):
    drafter().propose(task)
    assert not any("sk-secret" in json.dumps(request) for request in model.requests)


# --- recording ----------------------------------------------------------------------------------


def test_recorded_exchanges_repeat_a_campaign(drafter, task, model, answers, replies, tmp_path):
    fresh = numbered(replies)
    model.default = lambda r: answers.completion(*fresh(r.get("n", 1)))
    made = drafter(RecordedExchanges(tmp_path / "exchanges"))
    first = made.propose(task)
    slow = tuple(trial for draft in first.drafts for trial in timed(draft, 0.5))
    second = made.propose(replace(task, round=1, drafts=first.drafts, trials=slow))
    count = len(model.requests)
    again = drafter(RecordedExchanges(tmp_path / "exchanges"))
    fast = tuple(trial for draft in first.drafts for trial in timed(draft, 5.0))
    assert again.propose(task).drafts == first.drafts
    repeated = again.propose(replace(task, round=1, drafts=first.drafts, trials=fast))
    assert [d.hash for d in repeated.drafts] == [d.hash for d in second.drafts]
    assert len(model.requests) == count
    assert repeated.spent == second.spent
    (file,) = (tmp_path / "exchanges").iterdir()
    assert b"sk-secret" not in file.read_bytes()
    assert RecordedExchanges(file).all() == RecordedExchanges(file.parent).all()


CHILD = """
    import numpy as np
    from pathlib import Path
    from jaxtyping import Float64
    from outpace.codegen.drafters import DraftingTask
    from outpace.codegen.drafters.openai import ModelDrafter
    from outpace.codegen.llm.asking import Asker
    from outpace.codegen.llm.budget import Ledger
    from outpace.codegen.llm.exchange import Rounds
    from outpace.codegen.llm.options import ModelOptions
    from outpace.codegen.llm.transport import Transport
    from outpace.codegen.reference import Reference, ReferenceOptions
    from outpace.model import Target
    from outpace.tuner.exchanges import RecordedExchanges

    def scale(u: Float64[np.ndarray, "n"], factor: float) -> Float64[np.ndarray, "n"]:
        return u * factor

    options = ModelOptions({url!r}, "fake", rounds=1, samples=8)
    rounds = Rounds(1, 8, ("numba",))
    kept = RecordedExchanges(Path({folder!r}))
    asker = Asker(Transport(options, None), options, Ledger(options, kept.all()), kept, rounds)
    reference = Reference(scale, ReferenceOptions({{"w": {{"n": 4}}}}))
    task = DraftingTask(reference, Target("x86_64", "cpu", 2), ("numba",))
    proposal = ModelDrafter("openai", asker, rounds, "fake").propose(task)
    print([d.provenance.idea for d in proposal.drafts], proposal.spent.tokens)
"""


def test_nothing_paid_for_is_asked_again_after_a_kill(model, answers, replies, tmp_path):
    fresh = numbered(replies)
    file, folder = tmp_path / "child.py", tmp_path / "exchanges"
    file.write_text(textwrap.dedent(CHILD.format(url=model.url, folder=str(folder))))
    child = subprocess.Popen([sys.executable, file], stdout=subprocess.DEVNULL)

    def kill(_):
        os.kill(child.pid, signal.SIGKILL)
        return answers.completion("lost")

    good = lambda r: answers.completion(*fresh(r["n"]), usage=(100, 60))  # noqa: E731
    model.answers, model.default = [good, good, kill], good
    assert child.wait() == -signal.SIGKILL
    assert len(model.requests) == 3
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{[f'idea {i}' for i in range(8)]} {4 * 160}"
    assert len(model.requests) == 5
    prompts = [json.dumps(request["messages"]) for request in model.requests]
    assert prompts[3] == prompts[2]
    assert len(set(prompts)) == 4


def test_a_store_that_fails_keeps_replies_from_being_used(drafter, task, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(KeptExchanges, "keep", full)
    with pytest.raises(OSError, match="No space left"):
        drafter().propose(task)
