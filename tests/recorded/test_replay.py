"""Recorded campaigns with a model, repeated: the judge says of each draft what it is worth."""

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from outpace.codegen.reference import Reference
from outpace.kernels.library import astro, genomics, linalg, medical
from outpace.model import Status
from outpace.tuner import api, plan
from outpace.tuner.campaign import Budget
from outpace.tuner.drafting import choose, draft_rounds, open_drafter
from outpace.tuner.exchanges import RecordedExchanges
from outpace.tuner.journal import AlphaLedger

FOLDER = Path(__file__).parent
RIGHT = {Status.FASTER, Status.NOT_FASTER, Status.INCONCLUSIVE}
WRONG, INVALID, BUILD_FAILED = {Status.WRONG}, {Status.INVALID}, {Status.BUILD_FAILED}
ROUNDED = RIGHT | WRONG
"""Right but for rounding errors at the border of what is allowed; cases are drawn anew."""
MOST_ROUNDED = 100.0
"""Times what is allowed: further off, it is not for rounding."""


def shrunk(fn, **sizes):
    """The reference at one workload, a small one."""
    reference = fn.reference
    return Reference(reference.fn, replace(reference.options, workloads={"tiny": sizes}))


CAMPAIGNS = {
    "conv2d": (
        shrunk(linalg.conv2d, batch=1, rows=24, cols=24, cin=8, cout=16),
        {
            "register tile of pixels by 16 channels": ROUNDED,
            "blocks of pixels along a row share": WRONG,
            "row blocks, four taps of the window": ROUNDED,
            "register tile per tap, taps summed apart": RIGHT,
            "blocks of pixels with a remainder loop": RIGHT,
            "row blocks, each tap summed apart": ROUNDED,
        },
    ),
    "nbody": (
        shrunk(astro.nbody, n=40, steps=3),
        {
            "structure of arrays, one parallel region": ROUNDED,
            "reciprocal square root in single precision": ROUNDED,
            "bodies in blocks of each core": WRONG,
            "one parallel region, reciprocal root": ROUNDED,
            "each pair once by Newton's third law": ROUNDED,
            "two buffers of positions": ROUNDED,
        },
    ),
    "backproject": (
        shrunk(medical.backproject, views=12, detectors=48, size=32),
        {
            "blocks of image rows stay in cache": ROUNDED,
            "position carried along the row": WRONG,
            "reply 0/1/0.0": INVALID,
            "only the pixels that a view reaches": ROUNDED,
            "value and slope of each detector": ROUNDED,
            "row blocks, slopes of the detectors": ROUNDED,
        },
    ),
    "smith_waterman": (
        shrunk(genomics.smith_waterman, n=24, m=30, letters=20, gap_open=11, gap_extend=1),
        {
            "a profile of scores per letter": RIGHT,
            "reply 0/0/0.1": INVALID,
            "bands of rows, the left neighbours": RIGHT,
            "prefix maxima of E in vectors of 8 lanes": RIGHT,
            "prefix maxima of E by the scan directive": BUILD_FAILED,
            "two passes over a row": RIGHT,
        },
    ),
    "softmax": (
        shrunk(linalg.softmax, batch=1, heads=2, queries=32, keys=64),
        {
            "one row at a time in cache": RIGHT,
            "blocks of rows per thread, sums in double": INVALID,
            "blocks of rows, array expressions within": BUILD_FAILED,
            "exponential as a polynomial": ROUNDED,
            "one pass for largest and sum together": ROUNDED,
            "blocks of rows in plain loops": ROUNDED,
        },
    ),
}

PROMOTED = "conv2d"
"""Some eight times as fast on one core, where no other process can hold up a barrier of threads."""


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    """Folders of this test alone; few pairs decide, and counterexamples stay as they are found."""
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setattr(plan, "PROCESS_SECONDS", 0.1)
    monkeypatch.setattr(plan, "AUDIT_SECONDS", 0.05)
    monkeypatch.setattr(AlphaLedger, "next_alpha", lambda _: 0.4)
    monkeypatch.setattr("outpace.tuner.numerics.shrinking.SHRINK_SECONDS", 0.0)


@pytest.fixture
def one_core():
    """Drafts get as many threads as there are cores."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    os.sched_setaffinity(0, allowed)


def record_of(name):
    return FOLDER / name / "exchanges.jsonl"


@pytest.mark.parametrize("name", [name for name in CAMPAIGNS if name != PROMOTED])
def test_every_recorded_draft_gets_its_verdict_again(name, tmp_path):
    with replayed(name, tmp_path) as campaign:
        check_verdicts(name, campaign)


@pytest.mark.usefixtures("one_core")
def test_a_recorded_draft_is_promoted(tmp_path):
    with replayed(PROMOTED, tmp_path) as campaign:
        promotion = api.conclude(campaign).promotion
        check_verdicts(PROMOTED, campaign)
    assert promotion.variant.draft.provenance.drafter == "replay"
    assert promotion.variant.draft.provenance.model == "recorded-model"


@contextmanager
def replayed(name, tmp_path):
    """The campaign after all its rounds; each draft was tried with its default parameters."""
    choice = choose(f"replay:{record_of(name)}", (), None)
    with api.open_campaign(
        CAMPAIGNS[name][0],
        choice.identity,
        languages=choice.languages,
        budget=Budget(per_draft=1),
        promoted=tmp_path / "promoted",
    ) as campaign:
        drafter = open_drafter(choice, tmp_path)
        campaign.prepare()
        draft_rounds(campaign, drafter, choice)
        yield campaign


def check_verdicts(name, campaign):
    wanted = CAMPAIGNS[name][1]
    timed = campaign.evaluator.evaluations.values()
    found = {e.variant.label: Status.NOT_FASTER for e in timed}
    found |= {trial.label: trial.status for trial in campaign.trials}
    by_idea = {idea_of(label, wanted): status for label, status in found.items()}
    assert by_idea.keys() == wanted.keys()
    assert {idea: s for idea, s in by_idea.items() if s not in wanted[idea]} == {}
    for trial in campaign.trials:
        is_rounded = wanted[idea_of(trial.label, wanted)] is ROUNDED
        if is_rounded and trial.counterexample is not None:
            mismatch = trial.counterexample.mismatch
            off = abs(float(mismatch.got) - float(mismatch.expected))
            assert off < MOST_ROUNDED * float(mismatch.allowed), trial.reason


def idea_of(label, wanted):
    return next(idea for idea in wanted if label.startswith(idea))


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_records_hold_whole_prompts_and_nothing_of_the_machine(name):
    exchanges = RecordedExchanges(record_of(name)).all()
    prompts = [e.prompt[-1].content for e in exchanges if not e.place.startswith("probe/")]
    assert len(prompts) == 4
    assert all("# The contract" in prompt and "# Your task" in prompt for prompt in prompts)
    text = record_of(name).read_text(encoding="utf-8")
    assert not any(secret in text for secret in ("/home/", "/tmp/", "/root", "sk-", "127.0.0.1"))
