"""Recorded campaigns with a model, repeated: the judge says of each draft what it is worth."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from outpace.codegen.reference import Reference
from outpace.kernels.library import astro, genomics, linalg, medical
from outpace.model import Status
from outpace.tuner import api, plan
from outpace.tuner.campaign import Budget
from outpace.tuner.exchanges import RecordedExchanges
from outpace.tuner.journal import AlphaLedger

FOLDER = Path(__file__).parent
RIGHT = {Status.FASTER, Status.NOT_FASTER, Status.INCONCLUSIVE}
WRONG, INVALID, BUILD_FAILED = {Status.WRONG}, {Status.INVALID}, {Status.BUILD_FAILED}
EITHER = RIGHT | WRONG
"""Its rounding errors are at the border of what is allowed, and cases are drawn anew."""


def shrunk(fn, **sizes):
    """The reference at one workload, a small one."""
    reference = fn.reference
    return Reference(reference.fn, replace(reference.options, workloads={"tiny": sizes}))


CAMPAIGNS = {
    "conv2d": (
        shrunk(linalg.conv2d, batch=2, rows=32, cols=32, cin=16, cout=16),
        {
            "register tile of pixels by 16 channels": RIGHT,
            "blocks of pixels along a row share": WRONG,
            "row blocks, four taps of the window": RIGHT,
            "register tile per tap, taps summed apart": RIGHT,
            "blocks of pixels with a remainder loop": RIGHT,
            "row blocks, each tap summed apart": RIGHT,
        },
    ),
    "nbody": (
        shrunk(astro.nbody, n=40, steps=3),
        {
            "structure of arrays, one parallel region": RIGHT,
            "reciprocal square root in single precision": EITHER,
            "bodies in blocks of each core": WRONG,
            "one parallel region, reciprocal root": EITHER,
            "each pair once by Newton's third law": EITHER,
            "two buffers of positions": RIGHT,
        },
    ),
    "backproject": (
        shrunk(medical.backproject, views=12, detectors=48, size=32),
        {
            "blocks of image rows stay in cache": RIGHT,
            "position carried along the row": WRONG,
            "reply 0/1/0.0": INVALID,
            "only the pixels that a view reaches": EITHER,
            "value and slope of each detector": EITHER,
            "row blocks, slopes of the detectors": EITHER,
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
}


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    """Folders of this test alone, and two or three process pairs that decide."""
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setattr(plan, "PROCESS_SECONDS", 0.1)
    monkeypatch.setattr(plan, "AUDIT_SECONDS", 0.05)
    monkeypatch.setattr(AlphaLedger, "next_alpha", lambda _: 0.4)


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_every_recorded_draft_gets_its_verdict_again(name, tmp_path):
    reference, wanted = CAMPAIGNS[name]
    result = api.tune(
        reference,
        drafter=f"replay:{FOLDER / name / 'exchanges.jsonl'}",
        budget=Budget(per_draft=1),
        promoted=tmp_path / "promoted",
    )
    found = defaultdict(set)
    for trial in result.trials:
        idea = next(idea for idea in wanted if trial.label.startswith(idea))
        found[idea].add(trial.status)
    assert found.keys() == wanted.keys()
    assert all(found[idea] <= wanted[idea] for idea in wanted), dict(found)
    assert result.promotion is not None
    assert result.promotion.variant.draft.provenance.model == "recorded-model"


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_records_hold_whole_prompts_and_nothing_of_the_machine(name):
    path = FOLDER / name / "exchanges.jsonl"
    exchanges = RecordedExchanges(path).all()
    prompts = [e.prompt[-1].content for e in exchanges if not e.place.startswith("probe/")]
    assert len(prompts) == 4
    assert all("# The contract" in prompt and "# Your task" in prompt for prompt in prompts)
    text = path.read_text(encoding="utf-8")
    assert not any(secret in text for secret in ("/home/", "/tmp/", "/root", "sk-", "127.0.0.1"))
