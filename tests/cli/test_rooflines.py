"""Where a time on a GPU stands, as people and scripts are told."""

import io
import json

import msgspec
import pytest
from rich.console import Console

from outpace.cli import payloads
from outpace.cli.summary import promotion_panel, show_verdict
from outpace.codegen.machine import Machine
from outpace.codegen.reference import load_reference
from outpace.kernels import promotions
from outpace.model import PairSamples, Status
from outpace.roofline import Bound, Counted, Roofline

STANDS = Roofline(1_000_000, 2e12, 0.5, 4_000_000, 0, Counted.NESTS, 4.0, Bound.MEMORY, 0.5)
PAIRS = (PairSamples((2e-3, 2.1e-3), (1e-3, 1.1e-3)),)
TOLD = "4,000,000 operations of the reference; 4 a byte; bound by memory: 50% of the roof"


@pytest.fixture
def promoted(make, reference):
    """A promotion for arrays on a GPU."""
    loaded = load_reference(reference)
    key = promotions.key_for(loaded.on_gpu(), make.target)
    evidence = tuple(
        msgspec.structs.replace(make.evidence(name, 2.0), samples=PAIRS, roofline=STANDS)
        for name in ("small", "large")
    )
    promotion = make.promotion(
        reference=loaded.name, key=key, evidence=evidence, contract=loaded.contract
    )
    return promotions.write(promotion, loaded)


def test_a_verdict_tells_the_place_of_each_trial(make):
    trial = make.trial("faster", roofline=STANDS)
    out = io.StringIO()
    result = make.result(trial, verdict=Status.FASTER)
    show_verdict(Console(file=out, width=300), result, None)
    assert TOLD in out.getvalue()
    told = json.loads(json.dumps(payloads.of_trial(trial)["roofline"]))
    assert (told["operations"], told["counted"], told["bound"]) == (4_000_000, "nests", "memory")
    assert told["fraction"] == told["share"] == 0.5
    assert told["declared_operations"] is None


def test_what_was_promoted_is_shown_with_its_place(promoted, reference):
    (stored,) = promotions.find(load_reference(reference))
    out = io.StringIO()
    console = Console(file=out, width=300)
    console.print(promotion_panel(reference, stored.promotion, promoted, None))
    assert out.getvalue().count(TOLD) == 2


def test_a_promotion_keeps_its_place(promoted, outpace, outpace_json, reference):
    (stored,) = promotions.find(load_reference(reference))
    assert stored.promotion.evidence[-1].roofline == STANDS
    assert outpace("explain", reference).stdout.count(TOLD) == 2
    _, answer = outpace_json("explain", reference)
    (told,) = answer["promotions"]
    assert told["path"] == str(promoted)
    assert told["rooflines"]["large"]["intensity"] == 4.0


def test_the_report_tells_it_instead_of_the_host_s_bandwidth(promoted, make, reference):
    pytest.importorskip("jinja2", reason="the extra `report` is not installed")
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    from outpace.tuner.report import data, page

    del promoted
    found = data.gather(references=[load_reference(reference)])
    text = page.render(found, make.target.key, Machine(bandwidth=20e9))
    assert text.count(TOLD) == 2
    assert "Bottleneck" not in text
