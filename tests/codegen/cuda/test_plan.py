import copy
import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outpace.codec import decode, encode
from outpace.codegen.cuda import LaunchPlan, parse_plan, write_plan
from outpace.errors import DraftError

SCHEMA = Path(__file__).parents[3] / "docs" / "launch-plan.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
LAUNCH = {"launch": "step", "grid": [1], "block": [32]}


def steps(*listed):
    return {"steps": list(listed)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], r"plan: must be an object"),
        ({}, r"plan: 'steps' is missing"),
        ({"steps": [], "step": []}, r"plan: the key 'step' is not one of steps, let, buffers"),
        ({"steps": {}}, r"steps: must be a list"),
        (steps(1), r"steps\[0\]: must be an object, not 1"),
        (steps({}), r"steps\[0\]: needs exactly one of launch, fill"),
        (steps({**LAUNCH, "fill": "x"}), r"steps\[0\]: needs exactly one of"),
        (steps(LAUNCH, {"launch": "step", "grid": [1]}), r"steps\[1\]: 'block' is missing"),
        (steps({**LAUNCH, "grid": ["n /"]}), r"steps\[0\]\.grid\[0\]: 'n /' is not an expression"),
        (steps({**LAUNCH, "grid": [1, 1, 1, 1]}), r"steps\[0\]\.grid: needs one to three"),
        (steps({**LAUNCH, "block": [32.0]}), r"steps\[0\]\.block\[0\]: must be an integer or an"),
        (steps({**LAUNCH, "launch": "system(0); f"}), r"steps\[0\]\.launch: .* is no name"),
        (steps({**LAUNCH, "launch": 'f")'}), r"steps\[0\]\.launch: .* is no name"),
        (steps({**LAUNCH, "arguments": ["x[0]"]}), r"steps\[0\]\.arguments\[0\]: "),
        (steps({"fill": "x", "value": "0"}), r"steps\[0\]\.value: '0' is no number"),
        (steps({"fill": "x", "value": True}), r"steps\[0\]\.value: True is no number"),
        (steps({"copy": ["x"]}), r"steps\[0\]\.copy: needs the names of two arrays"),
        (steps({"swap": ["x", "x"]}), r"steps\[0\]\.swap: needs the names of two arrays"),
        (steps({"repeat": "t", "range": [1], "steps": []}), r"steps\[0\]\.range: takes \[first"),
        (
            steps({"repeat": "t", "range": [0, 1, 1], "steps": [{"when": "t", "steps": []}]}),
            r"steps\[0\]\.steps\[0\]\.when: 't' is no condition",
        ),
        ({"let": {"min": 1}, "steps": []}, r"let\.min: 'min' is no name"),
        ({"let": [], "steps": []}, r"let: must be an object"),
        (
            {"buffers": [{"name": "b", "dtype": "float16", "shape": []}], "steps": []},
            r"buffers\[0\]\.dtype: 'float16' is not one of",
        ),
    ],
)
def test_a_malformed_plan_is_refused_with_the_place(given, message):
    with pytest.raises(DraftError, match=f"^{message}") as refused:
        parse_plan(given)
    # The published schema says the same of everything but the text of expressions.
    textual = re.search(r"not an expression|condition|x\[0\]|32\.0", str(refused.value))
    assert textual or not VALIDATOR.is_valid(given)


def test_steps_have_a_greatest_depth():
    nested = LAUNCH
    for _ in range(20):
        nested = {"when": "1 > 0", "steps": [nested]}
    with pytest.raises(DraftError, match="nested more than 16 deep"):
        parse_plan(steps(nested))


def test_a_plan_is_stored_and_written_as_it_was_read(plan):
    assert decode(encode(plan), LaunchPlan) == plan
    assert parse_plan(json.loads(json.dumps(write_plan(plan)))) == plan


names = st.sampled_from(["out", "other", "u", "step", "n"])
numbers = st.one_of(st.integers(-5, 5), st.sampled_from(["n", "n + 1", "ceildiv(n, 2)"]))
extents = st.lists(numbers, min_size=1, max_size=3)
simple = st.one_of(
    st.fixed_dictionaries(
        {"launch": names, "grid": extents, "block": extents},
        optional={"shared": numbers, "arguments": st.lists(st.one_of(names, numbers), max_size=4)},
    ),
    st.fixed_dictionaries(
        {"fill": names, "value": st.floats(allow_nan=False, allow_infinity=False)}
    ),
    st.fixed_dictionaries({"swap": st.just(["out", "other"])}),
)
nested = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.fixed_dictionaries(
            {"repeat": st.just("t"), "range": st.tuples(numbers, numbers, numbers).map(list),
             "steps": st.lists(inner, max_size=2)}
        ),
        st.fixed_dictionaries({"when": st.just("n > 1"), "steps": st.lists(inner, max_size=2)}),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=50)
@given(st.lists(nested, max_size=3))
def test_any_plan_is_read_back_as_written(listed):
    plan = parse_plan({"steps": listed})
    assert parse_plan(write_plan(plan)) == plan
    assert VALIDATOR.is_valid({"steps": listed})
    assert VALIDATOR.is_valid(write_plan(plan))


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=4,
)


@given(st.data(), st.lists(nested, min_size=1, max_size=2))
def test_a_plan_with_anything_in_some_place_is_read_or_refused(data, listed):
    bent = copy.deepcopy(listed)
    step = data.draw(st.sampled_from(bent))
    step[data.draw(st.sampled_from(sorted(step)))] = data.draw(json_values)
    try:
        plan = parse_plan({"steps": bent})
    except DraftError as refused:
        plan, message = None, str(refused)
    if plan is None:
        assert message.startswith("steps[")
    else:
        assert VALIDATOR.is_valid({"steps": bent})
        assert parse_plan(write_plan(plan)) == plan
