"""Reading a model's reply: what is a draft is read back exactly, anything else is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outpace.codegen.parse import LONGEST, Refusal, parse_reply
from outpace.codegen.visible import hidden_character
from outpace.model import Draft, Parameter, Provenance

ORIGIN = Provenance("openai", model="m")
HEADER = '{"language": "numba", "idea": "tiles", "parameters": {"TILE": [8, 16]}}'
SOURCE = "def kernel(u, out):\n    out[:] = u\n"


def parsed(text, languages=("numba",), finish_reason="stop"):
    return parse_reply(text, finish_reason, languages, ORIGIN)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n```python\n{SOURCE}```",
        f"\n\n{HEADER}\n\n```\n{SOURCE}```\n\n",
        f"{HEADER}\r\n```python\r\n{SOURCE}```\r\n",
        f"````\n{SOURCE}````".replace("````", f"{HEADER}\n````", 1),
        f"<think>\nperhaps ```x``` or <b>\n</think>\n{HEADER}\n```python\n{SOURCE}```",
        f"it was opened by the template\n</think>\n{HEADER}\n```python\n{SOURCE}```",
    ],
)
def test_replies_in_the_form_are_read(text):
    draft = parsed(text)
    assert isinstance(draft, Draft)
    assert draft.source == SOURCE
    assert draft.parameters == (Parameter("TILE", (8, 16)),)
    assert draft.provenance == Provenance("openai", idea="tiles", model="m")


def test_longer_fences_may_hold_shorter_ones():
    source = 'TEXT = """\n```\n"""\n'
    assert parsed(f"{HEADER}\n````python\n{source}````").source == source
    refused = parsed(f"{HEADER}\n```python\n{source}```")
    assert isinstance(refused, Refusal)


def test_the_only_language_need_not_be_named_and_others_must():
    text = f'{{"idea": "x"}}\n```\n{SOURCE}```'
    assert parsed(text).language == "numba"
    assert parsed(text, ("numba", "c")) == Refusal("`language` must be one of numba, c, not ''")
    other = '{"language": "c", "idea": "x"}\n```c\nvoid kernel(void) {}\n```'
    assert parsed(other, ("numba", "c")).language == "c"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{HEADER}\n```python\n```", "the fenced block is empty"),
        (f"{HEADER}\n```python\n{'# x' * LONGEST}\n```", "write a shorter kernel"),
        (f"{HEADER}\n~~~\n{SOURCE}~~~", "one fenced block must follow the line of JSON"),
        (f"```json\n{HEADER}\n```\n```python\n{SOURCE}```", "without any text or fence before it"),
        (f"{HEADER}\n```python\nX = '</think>'\n```", "leave reasoning tags out of it"),
        (f"{HEADER}\n```python\n{'(' * 1000}\n```", "not Python"),
        (f"{HEADER}\n```python\nX = '\0'\n```", "not shown, U+0000 in line 1"),
        (f"{HEADER}\n```python\nX = '\u202e'\n```", "not shown, U+202E in line 1"),
        (f"{'[' * 100_000}\n```\n{SOURCE}```", "must open with one line of JSON"),
        ('{"idea": ' + "[" * 100_000 + f"\n```\n{SOURCE}```", "not JSON"),
    ],
)
def test_other_replies_are_refused(text, reason):
    refused = parsed(text)
    assert isinstance(refused, Refusal)
    assert reason in refused.reason
    assert len(refused.reason) < 500


PIECES = ["```", "````", "\n", HEADER, "{", "}", "<think>", "</think>", SOURCE, "x", " ", "\0"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=200))
@example("")
@example("{\n```")
def test_any_text_is_read_or_refused(text):
    found = parsed(text)
    assert isinstance(found, Draft | Refusal)
    if isinstance(found, Draft):
        assert found.source in text.replace("\r\n", "\n")


@given(st.text(st.characters(codec="utf-8", exclude_characters="`\r"), min_size=1, max_size=200))
def test_source_in_languages_without_a_parser_comes_back_as_it_was(source):
    found = parsed(f'{{"idea": "x"}}\n```c\n{source}\n```', ("c",))
    if source.strip() and hidden_character(f"{source}\n") is None:
        assert found.source == f"{source}\n"
