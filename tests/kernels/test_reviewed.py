"""What a person reviews is what runs: no hidden characters, and no code among the parameters."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.codegen.visible import hidden_character, shown
from outpace.errors import CodecError, DraftError
from outpace.kernels import promotions
from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import parse_draft
from outpace.model import Draft, Parameter, Provenance, Variant

SCALE = """
@outpace.optimize(workloads={"small": dict(n=8)})
def scale(u: Float64[np.ndarray, "n"], factor: float) -> Float64[np.ndarray, "n"]:
    return u * factor
"""
KERNEL = "def kernel(u, factor, out):\n    out[:] = u * factor\n"
HIDDEN = {
    "turned around": "\u202e",
    "without width": "\u200b",
    "a line for some": "\u2028",
    "a command to a terminal": "\x1b",
    "a return": "\r",
    "half a character": "\ud800",
}


def draft_of(text):
    return parse_draft(text, language_named("numba"), Provenance("user"))


@pytest.mark.parametrize("character", HIDDEN.values(), ids=HIDDEN)
def test_a_draft_with_a_hidden_character_is_refused(character):
    with pytest.raises(DraftError, match=f"U\\+{ord(character):04X} in line 1"):
        draft_of(f"x = 1  # {character} harmless\n{KERNEL}")


@pytest.mark.parametrize("character", HIDDEN.values(), ids=HIDDEN)
def test_a_header_with_a_hidden_character_is_refused(character):
    header = json.dumps({"idea": f"fast{character}"})
    with pytest.raises(DraftError, match=f"header line .* U\\+{ord(character):04X}"):
        draft_of(f"# outpace: {header}\n{KERNEL}")


def test_windows_line_ends_and_letters_of_any_language_are_no_secret():
    assert hidden_character("x = 'größer, 大きい'\t# ∂u\r\ny = 2\n") is None


@given(st.text())
def test_what_is_shown_holds_nothing_hidden(text):
    assert hidden_character(shown(text)) is None


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_what_everybody_sees_is_shown_as_it_is(text):
    assert shown(text) == text


@pytest.mark.parametrize("bound", [{"TILE = 8; import os; X": 16}, {"TILE": 17}, {}])
def test_parameters_that_the_draft_does_not_declare_are_not_served(bound, module, promote):
    scale = module(SCALE).scale
    variant = Variant(Draft("numba", KERNEL, (Parameter("TILE", (8, 16)),)), bound)
    path = promotions.write(promote.make(scale, "", variant=variant), scale.reference)
    with pytest.raises(CodecError, match="binds parameters that"):
        promotions.read(path)
