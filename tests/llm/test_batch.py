"""Batch files: what is written, and what becomes of answers in any order and state."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outpace.codegen.llm.batch import BatchRequest, read_results
from outpace.codegen.llm.exchange import ChatMessage
from outpace.codegen.llm.options import ModelOptions
from outpace.errors import UsageError

PROMPT = (ChatMessage("system", "write"), ChatMessage("user", "a kernel"))
REQUESTS = [BatchRequest(f"0/{i // 2}/{i % 2}", PROMPT, 500) for i in range(4)]
NAMES = [request.custom_id for request in REQUESTS]


def answer(name, text="a draft"):
    """A good line as vLLM writes it."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": text}}
    body = {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 5}}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return json.dumps({"id": "b", "custom_id": name, "response": response, "error": None})


def failed(name, kind):
    bodies = {
        "expired": {"response": None, "error": {"code": "batch_expired", "message": "too late"}},
        "status": {"response": {"status_code": 400, "body": {"message": "no"}}, "error": None},
        "nothing": {},
        "no choices": {"response": {"status_code": 200, "body": {"choices": []}}},
    }
    return json.dumps({"id": "b", "custom_id": name, **bodies[kind]})


GARBAGE = ["{", "[]", '{"custom_id": 3}', "\x00", '{"custom_id": "outpace-9-9-9-0", "error": null}']
GOOD, BAD, JUNK = "good", "bad", "junk"
LINES = st.lists(
    st.one_of(
        st.tuples(st.just(GOOD), st.sampled_from(NAMES), st.text(max_size=5)),
        st.tuples(
            st.just(BAD),
            st.sampled_from(NAMES),
            st.sampled_from(["expired", "status", "nothing", "no choices"]),
        ),
        st.tuples(st.just(JUNK), st.sampled_from(GARBAGE), st.just("")),
    ),
    max_size=12,
)
AS_LINES = {GOOD: answer, BAD: failed, JUNK: lambda line, _: line}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES)
def test_the_first_good_answer_counts_and_everything_else_is_told(tmp_path, lines):
    path = tmp_path / "results.jsonl"
    path.write_text("\n".join(AS_LINES[kind](what, more) for kind, what, more in lines))
    results = read_results(path, REQUESTS)
    first: dict[str, str] = {}
    for kind, name, text in lines:
        if kind == GOOD:
            first.setdefault(name, text)
    assert {n: c.replies[0].text for n, c in results.completions.items()} == first
    failures = {name for kind, name, _ in lines if kind == BAD} - set(first)
    assert set(results.failures) == failures
    absent = set(NAMES) - set(first) - failures
    junk = sum(kind == JUNK for kind, _, _ in lines)
    assert len(results.notes) >= junk + len(failures) + len(absent)
    assert all(any(name in note for note in results.notes) for name in failures | absent)


def test_a_request_is_bound_to_its_prompt_and_place_and_holds_no_address():
    options = ModelOptions("http://localhost:1/v1", "m")
    line = json.loads(REQUESTS[0].line(options))
    assert set(line) == {"custom_id", "method", "url", "body"}
    assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
    assert line["body"]["model"] == "m"
    assert line["body"]["max_completion_tokens"] == 500
    assert "localhost" not in json.dumps(line)
    other = BatchRequest("0/0/0", (ChatMessage("user", "another kernel"),), 500)
    assert len({*NAMES, other.custom_id}) == 5
    assert all(len(name) < 64 for name in NAMES)


def test_an_answer_to_another_prompt_at_the_same_place_is_left_out(tmp_path):
    other = BatchRequest("0/0/0", (ChatMessage("user", "another kernel"),), 500)
    path = tmp_path / "results.jsonl"
    path.write_text(answer(other.custom_id))
    results = read_results(path, REQUESTS)
    assert results.completions == {}
    assert "was not asked" in results.notes[0]


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "too long", "type": "BadRequestError", "code": 400}},  # of vLLM 0.32
        {"code": "invalid", "message": "too long"},
        "too long",
    ],
)
def test_the_reason_of_a_failure_is_told(tmp_path, error):
    response = {"status_code": 400, "request_id": "r", "body": None}
    line = {"id": "b", "custom_id": NAMES[0], "response": response, "error": error}
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(line))
    told = read_results(path, REQUESTS).notes[0]
    assert told.startswith(f"{NAMES[0]} brought no reply: the server rejects the request: ")
    assert told.endswith(("too long", '"too long"'))


def test_a_file_that_is_not_there_is_one_error(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere.jsonl cannot be read: No such file"):
        read_results(tmp_path / "nowhere.jsonl", REQUESTS)
