"""Where a time stands under what the card reaches, and how that is told."""

import json
import sys
from pathlib import Path

import jsonschema
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import device_drafts as drafts
import device_references as references

from outpace.codegen.cuda import declared, parse_plan, write_plan
from outpace.errors import DraftError
from outpace.kernels.gpu import roofline
from outpace.kernels.gpu.roofline import Roof, described, measure_roof
from outpace.kernels.library import linalg
from outpace.model import Variant
from outpace.roofline import Bound, Counted, Roofline
from outpace.tuner.gpu import roof

SCHEMA = Path(__file__).parents[3] / "docs" / "launch-plan.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
CARD = Roof("a card", 1e12, {"float64": 1e9, "float32": 2e9})


@pytest.fixture(autouse=True)
def _card(monkeypatch):
    monkeypatch.setattr(roof, "measured_roof", lambda: CARD)


def declaring(**model):
    return Variant(drafts.squares(model=model) if model else drafts.squares())


def stands(fn, variant, seconds=1e-4):
    reference = fn.reference
    found = roof.position(reference, variant, reference.contract.workloads[-1], seconds)
    assert found is not None
    return found


def test_the_limit_that_binds_is_the_slower_one():
    found = stands(references.squares, declaring())
    assert (found.moved, found.operations, found.functions) == (256_000, 32_000, 0)
    assert found.counted is Counted.NESTS
    assert found.intensity == 0.125
    # 0.256 us for the bytes, 32 us for the operations.
    assert found.bound is Bound.ARITHMETIC
    assert found.fraction == pytest.approx(0.32)
    assert found.share == pytest.approx(0.00256)


def test_where_arithmetic_is_fast_memory_binds(monkeypatch):
    fast = Roof("a card", 1e12, {"float64": 1e15})
    monkeypatch.setattr(roof, "measured_roof", lambda: fast)
    found = stands(references.squares, declaring())
    assert found.bound is Bound.MEMORY
    assert found.fraction == found.share


def test_without_a_rate_for_the_dtype_no_bound_is_claimed(monkeypatch):
    monkeypatch.setattr(roof, "measured_roof", lambda: Roof("a card", 1e12, {}))
    found = stands(references.squares, declaring())
    assert (found.operations, found.bound, found.fraction) == (32_000, None, None)


def test_operations_that_nobody_knows_stay_unknown():
    found = stands(linalg.fft2, declaring())
    assert (found.operations, found.counted, found.intensity, found.bound) == (None,) * 4
    assert "operations unknown" in described(found)


def test_what_a_draft_declares_stands_in_labelled_where_nothing_else_is_known():
    plan = {"steps": [], "model": {"operations": "100 * y * x"}}
    found = stands(linalg.fft2, Variant(drafts.draft("", plan)))
    assert found.counted is Counted.DECLARED
    assert found.operations == found.declared_operations == 100 * 1024 * 1024
    assert found.functions is None
    assert "as the draft declares" in described(found)


@pytest.mark.parametrize(
    ("model", "remark"),
    [
        ({"bytes": "16 * n", "operations": "2 * n"}, ""),
        ({"bytes": "160 * n", "operations": "4 * n"}, ""),  # it may move more than it must
        ({"operations": "5 * n"}, "declares 80,000 operations, the reference does 32,000"),
        ({"operations": 3}, "declares 3 operations, the reference does 32,000"),
        ({"bytes": "n"}, "declares 16,000 bytes, and 256,000 must move"),
        ({"bytes": "n // (n - n)"}, "divides by zero"),
        ({"bytes": "-n"}, "is -16000, which is negative"),
    ],
)
def test_what_is_known_wins_and_a_far_figure_is_remarked_on(model, remark):
    plain = stands(references.squares, declaring())
    found = stands(references.squares, declaring(**model))
    assert (found.operations, found.fraction) == (plain.operations, plain.fraction)
    assert remark in found.remark if remark else found.remark == ""
    assert found.remark in described(found)


def test_a_declared_model_is_part_of_the_plan():
    plan = {"steps": [], "model": {"bytes": "8 * n", "operations": 5}}
    assert write_plan(parse_plan(plan)) == plan
    assert VALIDATOR.is_valid(plan)
    contract = references.squares.reference.contract
    found = declared(parse_plan(plan), {"n": 3}, {}, contract)
    assert found is not None
    assert (found.moved, found.operations) == (24, 5)
    assert declared(parse_plan({"steps": []}), {"n": 3}, {}, contract) is None


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({}, "model: is empty"),
        ({"flops": 1}, "model: the key 'flops' is not one of bytes, operations"),
        ({"bytes": 1.5}, "model.bytes: must be an integer or an expression"),
        ({"bytes": "n < 3"}, "model.bytes: 'n < 3' uses"),
    ],
)
def test_a_malformed_model_is_refused_with_its_place(model, message):
    with pytest.raises(DraftError, match=message):
        parse_plan({"steps": [], "model": model})
    # A schema cannot tell what an expression holds.
    assert VALIDATOR.is_valid({"steps": [], "model": model}) is ("n < 3" in model.values())


def test_names_in_a_model_are_checked_with_the_plan():
    plan = parse_plan({"steps": [], "model": {"operations": "m"}})
    with pytest.raises(DraftError, match=r"model\.operations: 'm' uses 'm'"):
        declared(plan, {"n": 3}, {}, references.squares.reference.contract)


def test_a_line_tells_all_of_it():
    found = Roofline(
        256_000, 2.56e9, 0.5, 32_000, 7, Counted.NESTS, 0.125, Bound.MEMORY, 0.25, None, None, ""
    )
    assert described(found) == (
        "256 kB must move, at 2.56 GB/s: 50% of what a copy reaches; 32,000 operations and 7 "
        "function calls of the reference; 0.125 a byte; bound by memory: 25% of the roof"
    )


def test_bandwidth_and_rates_are_measured(gpu, monkeypatch):
    monkeypatch.setattr(roofline, "_COPY_BYTES", 1 << 20)
    monkeypatch.setattr(roofline, "_LINKS", 2)
    monkeypatch.setattr(roofline, "find_device", lambda: gpu)
    found = measure_roof()
    assert found.device == gpu.name
    assert found.bandwidth > 0
    assert set(found.rates) == {"float32", "float64"}
    assert all(rate > 0 for rate in found.rates.values())
