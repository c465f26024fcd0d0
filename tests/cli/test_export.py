"""Training data from campaigns on disk: shapes, labels, licences, the split, and what stays out."""

import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace import environment
from outpace.codec import content_hash
from outpace.codegen.drafters import DraftingTask, drafter_named
from outpace.codegen.llm.exchange import ChatMessage, Exchange, Reply, Rounds, Usage
from outpace.codegen.llm.normal import normal_hash
from outpace.codegen.parse import parse_reply
from outpace.codegen.reference import load_reference
from outpace.kernels.target import current_target
from outpace.model import Draft, Grade, Parameter, Provenance, Speedup, Status, Variant
from outpace.tuner.evaluate import trial_of
from outpace.tuner.exchanges import RecordedExchanges
from outpace.tuner.journal import CampaignStarted, Journal, Screened, TrialRecord, campaign_id
from outpace.tuner.rule import THRESHOLD
from outpace.tuner.training.answers import LeftOut, reply_of
from outpace.tuner.training.findings import Verdict, finding_of
from outpace.tuner.training.split import families

ROUNDS = Rounds(2, 4, ("numba",))
SOURCE = "def kernel(u, factor, out):\n    out[:] = u * factor + {}\n"
BACK = "B" * 16
"""A source hash that is not held back at the usual share."""


def reply_to(idea, source):
    return f'{{"language": "numba", "idea": "{idea}"}}\n```python\n{source}```\n'


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """No crash of the machine is survived here."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class Past:
    """Writes a campaign as a tune with a model would have."""

    def __init__(
        self, *, source=BACK, name="heat:heat", target="here", drafter="openai:m", root=None
    ):
        started = (name, source, target, drafter)
        self.folder = (root or environment.state_dir() / "campaigns") / campaign_id(*started)
        self.journal = Journal(self.folder)
        self.journal.append(
            CampaignStarted(
                reference=name, source_hash=source, target=target, drafter=drafter, version="1.2"
            )
        )

    def ask(self, question, *texts):
        """An exchange; the drafts that were read from it, with their provenance."""
        prompt = (ChatMessage("system", "Write kernels."), ChatMessage("user", question))
        replies = tuple(Reply(text, "stop") for text in texts)
        RecordedExchanges(self.folder / "exchanges").keep(
            Exchange("0/0/0", "m", ROUNDS, len(texts), prompt, replies, Usage(9, 9), 0.0)
        )
        provenance = Provenance("openai", "reply", "m", content_hash(prompt))
        read = [parse_reply(text, "stop", ("numba",), provenance) for text in texts]
        return [
            one if isinstance(one, Draft) else Draft("numba", text, provenance=provenance)
            for one, text in zip(read, texts, strict=True)
        ]

    def judge(self, draft, status, *, speedup=None, screened=None, stage="confirm", **params):
        variant = Variant(draft, params)
        if screened is not None:
            self.journal.append(
                Screened(variant=variant, grade=Grade.A, ratios={"large": screened})
            )
        gain = None if speedup is None else Speedup(speedup, 0.9 * speedup, 1.1 * speedup)
        trial = trial_of(
            variant, Status(status), "", workload="large", stage=stage, grade=Grade.A, speedup=gain
        )
        self.journal.append(TrialRecord(trial=trial, variant=variant))


def sources(*numbers):
    return [SOURCE.format(number) for number in numbers]


def judged(past, question="heat", **outcomes):
    """Drafts named after how they end."""
    texts = [reply_to(name, SOURCE.format(i)) for i, name in enumerate(outcomes)]
    for draft, outcome in zip(past.ask(question, *texts), outcomes.values(), strict=True):
        past.judge(draft, **outcome)


OUTCOMES = {
    "best": {"status": "faster", "speedup": 9.0, "screened": 9.0},
    "good": {"status": "faster", "speedup": 3.0, "screened": 3.0},
    "unconfirmed": {"status": "not-faster", "screened": 2.9, "stage": "screen"},
    "slow": {"status": "not-faster", "screened": 0.5, "stage": "screen"},
    "wrong": {"status": "wrong"},
    "unlucky": {"status": "inconclusive", "speedup": 1.1, "screened": 1.2},
}


@pytest.fixture
def export(outpace_json):
    """Exports to `data`; the account and the rows of both files."""

    def run(form, *options):
        code, answer = outpace_json("export", "--format", form, "--out", "data", *options)
        if code:
            return answer["error"], None, None
        account = json.loads(Path("data/export.json").read_text())
        assert {k: v for k, v in answer.items() if k != "files"} == account
        return (account, *(rows(f"data/{side}.jsonl") for side in ("train", "test")))

    return run


def rows(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def ideas(rows, column="completion"):
    return [json.loads(row[column][0]["content"].partition("\n")[0])["idea"] for row in rows]


LICENSED = ("--license", "MIT")


def is_chat(value, *roles):
    return [m["role"] for m in value] == list(roles) and all(
        isinstance(m["content"], str) and set(m) == {"role", "content"} for m in value
    )


# --- shapes and labels --------------------------------------------------------------------------


def test_sft_holds_what_was_confirmed_faster(export):
    judged(Past(), **OUTCOMES)
    account, train, test = export("sft", *LICENSED)
    assert test == []
    assert ideas(train) == ["best", "good"]
    for row in train:
        assert list(row) == ["prompt", "completion", "license", "provenance"]
        assert is_chat(row["prompt"], "system", "user")
        assert is_chat(row["completion"], "assistant")
    assert account["examples"] == {"train": 2, "test": 0}
    assert account["left_out"] == {
        LeftOut.NOT_CONFIRMED.value: 1,
        LeftOut.NOT_FASTER.value: 2,
        LeftOut.UNDECIDED.value: 1,
    }


def test_kto_labels_what_is_proved_either_way(export):
    judged(Past(), **OUTCOMES)
    _, train, _ = export("kto", *LICENSED)
    assert [list(row)[:3] for row in train] == [["prompt", "completion", "label"]] * 4
    labels = dict(zip(ideas(train), (row["label"] for row in train), strict=True))
    assert labels == {"best": True, "good": True, "slow": False, "wrong": False}


def test_preference_pairs_replies_to_one_prompt(export):
    past = Past()
    judged(past, **OUTCOMES)
    (other,) = past.ask("another prompt", reply_to("alone", SOURCE.format(99)))
    past.judge(other, "wrong")
    account, train, _ = export("preference", *LICENSED)
    for row in train:
        assert list(row)[:3] == ["prompt", "chosen", "rejected"]
        assert is_chat(row["prompt"], "system", "user")
        assert is_chat(row["chosen"], "assistant")
        assert is_chat(row["rejected"], "assistant")
        assert set(row["provenance"]) == {"chosen", "rejected"}
    pairs = set(zip(ideas(train, "chosen"), ideas(train, "rejected"), strict=True))
    assert pairs == {
        ("best", "good"), ("best", "unconfirmed"), ("best", "slow"), ("best", "wrong"),
        ("good", "slow"), ("good", "wrong"), ("unconfirmed", "wrong"), ("slow", "wrong"),
    }  # fmt: skip
    assert account["left_out"] == {LeftOut.UNDECIDED.value: 1, LeftOut.NO_PARTNER.value: 1}


def test_provenance_tells_what_a_filter_needs(export):
    judged(Past(), best=OUTCOMES["best"])
    account, (row,), _ = export("sft", *LICENSED)
    told = row["provenance"]
    assert row["license"] == "MIT"
    assert (told["reference"], told["source"], told["target"]) == ("heat:heat", BACK, "here")
    assert (told["drafter"], told["model"], told["version"]) == ("openai", "m", "1.2")
    assert (told["status"], told["grade"], told["workload"]) == ("faster", "A", "large")
    assert (told["speedup"], told["low"], told["high"]) == pytest.approx((9.0, 8.1, 9.9))
    assert told["campaign"] == campaign_id("heat:heat", BACK, "here", "openai:m")
    assert account["schema"] == "outpace.export/1"
    assert account["references"] == [
        {"reference": "heat:heat", "source": BACK, "license": "MIT", "side": "train", "examples": 1}
    ]


def test_a_draft_of_which_some_variants_failed_is_no_example(export):
    past = Past()
    text = '{"language": "numba", "idea": "both", "parameters": {"N": [1, 2]}}\n```python\n'
    whole = reply_to("whole", SOURCE.format(1))
    both, good = past.ask("heat", text + SOURCE.format("N") + "```\n", whole)
    past.judge(both, "faster", speedup=5.0, N=1)
    past.judge(both, "wrong", N=2)
    past.judge(good, "faster", speedup=2.0)
    account, train, _ = export("kto", *LICENSED)
    assert ideas(train) == ["whole"]
    assert account["left_out"] == {LeftOut.UNDECIDED.value: 1}


def test_a_draft_that_failed_after_it_was_screened_has_failed(export):
    past = Past()
    (draft,) = past.ask("heat", reply_to("late", SOURCE.format(1)))
    past.judge(draft, "wrong", screened=9.0)
    _, (row,), _ = export("kto", *LICENSED)
    assert row["label"] is False


def test_what_was_refused_as_a_repetition_is_judged_as_what_it_repeats(export):
    past = Past()
    renamed = SOURCE.format(1).replace("out[:]", "out[:]  # the same, with a comment\n    out[:]")
    same = SOURCE.format(1).replace("    out", "    # a comment\n    out")
    first, second, refused = past.ask(
        "heat", reply_to("first", SOURCE.format(1)), reply_to("second", same), "prose"
    )
    assert renamed != same
    past.judge(first, "faster", speedup=2.0)
    past.judge(second, "invalid", stage="draft")
    past.judge(refused, "invalid", stage="draft")
    account, train, _ = export("kto", *LICENSED)
    assert [row["label"] for row in train] == [True, False]
    assert train[1]["completion"][0]["content"] == "prose"
    assert account["left_out"] == {LeftOut.REPEATED.value: 1}


TRIALS = st.lists(
    st.tuples(st.sampled_from(Status), st.integers(0, 2), st.floats(0.1, 10)),
    min_size=1,
    max_size=6,
)


@given(TRIALS, st.randoms())
def test_verdicts_claim_no_more_than_the_trials_show(outcomes, chance):
    records, screened = [], []
    for status, number, ratio in outcomes:
        variant = Variant(Draft("numba", "x = N", (Parameter("N", (0, 1, 2)),)), {"N": number})
        is_timed = status in (Status.FASTER, Status.NOT_FASTER)
        gain = Speedup(ratio, ratio, ratio) if is_timed else None
        trial = trial_of(variant, status, "", workload="w", stage="confirm", speedup=gain)
        records.append(TrialRecord(trial=trial, variant=variant, time="t"))
        if is_timed:
            screened.append(Screened(variant=variant, grade=Grade.A, ratios={"w": ratio}))
    found = finding_of(records, screened)
    statuses = {status for status, _, _ in outcomes}
    right = {Status.FASTER, Status.NOT_FASTER}
    failures = statuses - right - {Status.INCONCLUSIVE, Status.BLOCKED}
    timed = [ratio for status, _, ratio in outcomes if status in right]
    match found.verdict:
        case Verdict.FASTER:
            assert Status.FASTER in statuses
            assert not failures
        case Verdict.RIGHT:
            assert right & statuses
            assert not failures
        case Verdict.SLOW:
            assert max(timed) <= THRESHOLD
            assert Status.FASTER not in statuses
            assert not failures
        case Verdict.FAILED:
            assert failures
    chance.shuffle(records)
    assert finding_of(records, screened).verdict is found.verdict


# --- sources ------------------------------------------------------------------------------------


def test_campaigns_are_named_by_folder_or_journal(export, tmp_path):
    one, other = Past(root=tmp_path / "copied"), Past(root=tmp_path / "copied", target="there")
    judged(one, "one", best=OUTCOMES["best"])
    judged(other, "two", good=OUTCOMES["good"])
    (journal,) = other.folder.glob("*.jsonl")
    for named, found in (
        ((one.folder,), ["best"]),
        ((journal,), ["good"]),
        ((tmp_path / "copied",), ["best", "good"]),
        ((one.folder, one.folder), ["best"]),
    ):
        _, train, _ = export("sft", *LICENSED, *named)
        assert ideas(train) == found


def test_a_folder_that_was_carried_about_keeps_its_exchanges_beside_its_journals(export, tmp_path):
    past = Past(root=tmp_path / "carried" / "trials")
    judged(past, best=OUTCOMES["best"])
    (past.folder / "exchanges").rename(tmp_path / "carried" / "exchanges")
    _, train, _ = export("sft", *LICENSED, tmp_path / "carried")
    assert ideas(train) == ["best"]


def test_a_replay_finds_what_it_repeated(export, tmp_path):
    past = Past(drafter=f"replay:{tmp_path / 'recorded'}")
    judged(past, best=OUTCOMES["best"])
    (past.folder / "exchanges").rename(tmp_path / "recorded")
    _, train, _ = export("sft", *LICENSED)
    assert ideas(train) == ["best"]


def test_damaged_lines_are_counted(export):
    past = Past()
    judged(past, best=OUTCOMES["best"])
    (journal,) = past.folder.glob("*.jsonl")
    journal.write_text(journal.read_text() + "torn")
    account, train, _ = export("sft", *LICENSED)
    assert (len(train), account["skipped_lines"]) == (1, 1)


def test_a_replayed_draft_keeps_the_judgement_of_the_machine_in_its_prompt(export):
    replay, past = Past(drafter="replay:x", target="there"), Past()
    judged(past, best=OUTCOMES["best"])
    (record,) = past.journal.trials()
    replay.judge(record.variant.draft, "not-faster", screened=0.5)
    account, train, _ = export("kto", *LICENSED)
    assert [row["label"] for row in train] == [True]
    assert account["left_out"] == {LeftOut.REPEATED.value: 1}
    (lonely,) = [export("kto", *LICENSED, replay.folder)[0]]
    assert LeftOut.NO_EXCHANGE.value in lonely


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("nowhere",), "there is no nowhere"),
        ((), "there is no campaign in"),
        (("--test-share", "1"), "below 1"),
    ],
)
def test_what_cannot_be_exported_is_told(export, options, message):
    error, _, _ = export("sft", *options)
    assert message in error
    assert not Path("data").exists()


# --- licences and prompts of references ---------------------------------------------------------


def test_nothing_is_exported_under_an_unknown_licence(export):
    judged(Past(), best=OUTCOMES["best"])
    error, _, _ = export("sft")
    assert LeftOut.NO_LICENCE.value in error
    assert "--license SPDX" in error


def test_the_licence_is_that_of_the_references_file(export, reference):
    source = load_reference(reference).source_hash
    file = Path(reference.partition(":")[0])
    judged(Past(source=source), best=OUTCOMES["best"])
    options = ("--reference", reference, *LICENSED)
    assert export("sft", *options)[1][0]["license"] == "MIT"
    Path("pyproject.toml").write_text('[project]\nname = "x"\nlicense = "BSD-3-Clause"\n')
    assert export("sft", *options)[1][0]["license"] == "BSD-3-Clause"
    Path("pyproject.toml").write_text('[project]\nlicense = {text = "Zlib"}\n')
    assert export("sft", *options)[1][0]["license"] == "Zlib"
    file.write_text("# SPDX-License-Identifier: EPL-2.0\n" + file.read_text())
    assert export("sft", *options)[1][0]["license"] == "EPL-2.0"


def test_drafts_of_no_model_get_the_first_prompt(export, reference):
    loaded = load_reference(reference)
    proposal = drafter_named("builtin").propose(DraftingTask(loaded, current_target(), ("numba",)))
    past = Past(source=loaded.source_hash, target=current_target().key, drafter="builtin")
    for draft in proposal.drafts:
        past.judge(draft, "faster", speedup=2.0)
    account, train, _ = export("sft", "--reference", reference, *LICENSED)
    assert len(train) + account["left_out"].get(LeftOut.REPEATED.value, 0) == len(proposal.drafts)
    assert all(row["provenance"]["rebuilt"] for row in train)
    assert "# The reference, `scale` (data)" in train[0]["prompt"][1]["content"]
    replies = [row["completion"][0]["content"] for row in train]
    read = {normal_hash(parse_reply(r, "stop", ("numba",), Provenance("x"))) for r in replies}
    assert read == {normal_hash(draft) for draft in proposal.drafts}
    error, _, _ = export("sft", *LICENSED)
    assert LeftOut.NO_PROMPT.value in error


@given(
    body=st.sampled_from(["x = 1", "x = 1\n\n", "x = '''\n```\n'''\n"]),
    values=st.lists(st.integers(-9, 9), min_size=1, unique=True),
    when=st.sampled_from([None, "M > 1"]),
    idea=st.text(max_size=5),
)
def test_a_rebuilt_reply_brings_its_draft_or_there_is_none(body, values, when, idea):
    parameters = (Parameter("M", (1, 2)), Parameter("N", tuple(values), when))
    draft = Draft("numba", body, parameters, provenance=Provenance("user", idea))
    text = reply_of(draft)
    if text is not None:
        read = parse_reply(text, "stop", ("numba",), Provenance("x"))
        assert normal_hash(read) == normal_hash(draft)
    else:
        assert "```" in body or not (idea.isprintable() and idea.strip())


# --- the split ----------------------------------------------------------------------------------


def test_no_reference_is_on_both_sides(export):
    for i in range(16):
        source = content_hash([i])
        judged(Past(source=source, name=f"m{i}:f"), f"{i} here", best=OUTCOMES["best"])
        judged(
            Past(source=source, name=f"m{i}:f", target="there"), f"{i} there", best=OUTCOMES["best"]
        )
        judged(Past(source=source, name=f"moved{i}:f"), f"{i} moved", best=OUTCOMES["best"])
        judged(
            Past(source=content_hash([i, "edited"]), name=f"moved{i}:f"),
            f"{i} edited",
            best=OUTCOMES["best"],
        )
    account, train, test = export("sft", *LICENSED, "--test-share", 0.3)
    assert len(train) + len(test) == 64
    assert 0 < len(test) < len(train)
    sides = [
        {row["provenance"]["reference"].strip("moved") for row in side} for side in (train, test)
    ]
    assert not sides[0] & sides[1]
    again = export("sft", *LICENSED, "--test-share", 0.3)
    assert again[1:] == (train, test)
    _, everything, nothing = export("sft", *LICENSED, "--test-share", 0)
    assert (len(everything), nothing) == (64, [])
    held = {r["source"] for r in account["references"] if r["side"] == "test"}
    assert held == {row["provenance"]["source"] for row in test}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz"))))
def test_families_are_what_hashes_and_names_connect(seen):
    found = families(seen)
    assert set(found) == {source for source, _ in seen}
    for source, name in seen:
        for other, another in seen:
            if source == other or name == another:
                assert found[source] == found[other]
    groups = {head: {s for s in found if found[s] == head} for head in found.values()}
    for head, members in groups.items():
        assert head in members
        reached, size = {head}, 0
        while len(reached) > size:
            size = len(reached)
            names = {name for source, name in seen if source in reached}
            reached |= {source for source, name in seen if name in names}
        assert reached == members


# --- what must not leave the machine ------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        "error in /home/someone/heat.py",
        "at /tmp/judged/123/draft.c:4",
        f"on {socket.gethostname()}.",
        "key sk-secret-0123456789",
    ],
)
def test_examples_that_name_the_machine_stay_out(export, monkeypatch, said):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    past = Past()
    judged(past, f"a prompt\n{said}", best=OUTCOMES["best"])
    judged(past, "a / b, a /b/ c, //tmp", good={**OUTCOMES["good"]})
    account, train, _ = export("sft", *LICENSED)
    assert len(train) == 1
    assert account["left_out"] == {LeftOut.NAMES_MACHINE.value: 1}
    held = b"".join(path.read_bytes() for path in Path("data").iterdir())
    for secret in (said, socket.gethostname(), str(Path.cwd()), str(environment.state_dir())):
        assert secret.encode() not in held
