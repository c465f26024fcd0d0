"""The header line that any draft file may open with, under every language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.errors import DraftError, UsageError
from outpace.kernels.languages import LANGUAGES, language_named, language_of
from outpace.kernels.languages.base import parse_draft, read_draft, render_draft
from outpace.model import Draft, Parameter, Provenance

NUMBERS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
TEXTS = st.text(max_size=4).filter(str.isprintable)
VALUES_OF_PARAMETERS = st.sampled_from([NUMBERS, TEXTS]).flatmap(
    lambda kind: st.lists(kind, min_size=1, max_size=3, unique=True)
)
NAMES = st.sampled_from(["TILE", "unroll", "λ", "T2"])
SOURCES = st.sampled_from(
    ["", "x = 1\n", "# outpace: {}\nx", "// outpace: no", "\n\nä\n", "# a\r\n"]
)
DRAFTS = st.builds(
    lambda source, values, constraints, flags: (source, values, constraints, flags),
    SOURCES,
    st.dictionaries(NAMES, VALUES_OF_PARAMETERS),
    st.lists(st.sampled_from(["{0} == {0}", "not {0} < {0}"]), max_size=2),
    st.dictionaries(TEXTS, NUMBERS | TEXTS, max_size=2),
)  # fmt: skip


@pytest.mark.parametrize("name", LANGUAGES)
@given(DRAFTS)
def test_a_draft_file_is_read_back(name, parts):
    source, values, constraints, flags = parts
    draft = Draft(
        name,
        source,
        tuple(Parameter(n, tuple(v)) for n, v in values.items()),
        tuple(text.format(name) for text in constraints for name in values),
        flags,
        Provenance("builtin", idea="tiles"),
    )
    language = language_named(name)
    assert parse_draft(render_draft(draft, language), language, draft.provenance) == draft


@pytest.fixture(params=LANGUAGES)
def language(request):
    return language_named(request.param)


def parsed(language, header):
    return parse_draft(f"{language.comment} outpace: {header}\ncode", language, Provenance("user"))


def test_what_a_header_may_say(language):
    header = '{"parameters": {"T": [4, 4, 2], "U": 3}, "constraints": ["T > 1"], "idea": "tiles"}'
    draft = parsed(language, header)
    assert draft.parameters == (Parameter("T", (4, 2)), Parameter("U", (3,)))
    assert draft.provenance == Provenance("user", idea="tiles")
    assert draft.source == "code"
    assert parsed(language, f'{{"language": "{language.name}"}}').language == language.name


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("[1]", "must be a JSON object with keys among parameters, constraints, flags"),
        ('{"params": {}}', "must be a JSON object with keys among"),
        ('{"parameters": []}', "`parameters` in the header line must be a JSON object"),
        ('{"constraints": "T > 1"}', "`constraints` in the header line must be a JSON array"),
        ('{"flags": []}', "`flags` in the header line must be a JSON object"),
        ('{"idea": 3}', "`idea` in the header line must be a JSON string"),
        ('{"flags": {"a": [1]}}', "the flag 'a' must be a number"),
        ('{"parameters": {"T": []}}', "parameter 'T' needs a list of numbers"),
        ('{"parameters": {"T": [null]}}', "parameter 'T' needs a list of numbers"),
        ('{"parameters": {"T": {"a": 1}}}', "parameter 'T' needs a list of values"),
        ('{"parameters": {"T": [NaN]}}', "NaN is no JSON number"),
        ('{"parameters": {"T": [-Infinity]}}', "-Infinity is no JSON number"),
        (
            '{"parameters": {"T": [9223372036854775808]}}',
            "'T': 9223372036854775808 does not fit 64",
        ),
        ('{"parameters": {"T": ["a\\nb"]}}', r"'T': 'a\\nb' is not one printable line"),
        ('{"parameters": {"a b": [1]}}', "'a b' is not an identifier"),
        ('{"parameters": {"if": [1]}}', "'if' is not an identifier"),
        ('{"constraints": ["T > 1"]}', "constraint 'T > 1' names 'T', which is no parameter"),
        ('{"constraints": ["f(1)"]}', r"constraint 'f\(1\)' calls something else than min or max"),
        ('{"language": "basic"}', "the draft says it is basic, not"),
    ],
)
def test_a_malformed_header_says_what_is_wrong(language, header, message):
    with pytest.raises(DraftError, match=message):
        parsed(language, header)


def test_a_file_that_is_no_draft(language, tmp_path):
    path = tmp_path / "tiled.txt"
    with pytest.raises(DraftError, match="cannot be read"):
        read_draft(path, language)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DraftError, match="not text"):
        read_draft(path, language)
    path.write_text("code")
    assert read_draft(path, language).provenance == Provenance("user", idea="tiled")


def test_the_suffix_of_a_file_says_its_language(language, tmp_path):
    assert language_of(tmp_path / f"tiled.v2{language.suffix}") is language
    with pytest.raises(UsageError, match=r"tiled\.f90 does not end in \.py \(numba\), \.c \(c\)"):
        language_of(tmp_path / "tiled.f90")
