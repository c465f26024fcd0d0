import pytest

from outpace.codegen.parameters import read_parameter, write_parameter
from outpace.errors import DraftError
from outpace.model import Draft, Parameter


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ([4, 2, 4], (4, 2)),
        (3, (3,)),
        ([True, False], (True, False)),
        ({"values": ["soa", "aos"]}, ("soa", "aos")),
        ({"range": [1, 9, 2]}, (1, 3, 5, 7)),
        ({"range": [3]}, (0, 1, 2)),
        ({"pow2": [16, 256]}, (16, 32, 64, 128, 256)),
        ({"pow2": [1, 1]}, (1,)),
    ],
)
def test_forms_of_a_declaration(declared, values):
    parameter = read_parameter("T", declared)
    assert parameter == Parameter("T", values)
    assert read_parameter("T", write_parameter(parameter)) == parameter


def test_a_parameter_with_a_condition():
    parameter = read_parameter("T", {"pow2": [1, 4], "when": "U > 1"})
    assert parameter == Parameter("T", (1, 2, 4), "U > 1")
    assert read_parameter("T", write_parameter(parameter)) == parameter


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({}, "an object with one of values, range, pow2"),
        ({"values": [1], "range": [2]}, "an object with one of"),
        ({"values": [1], "default": 1}, "an object with one of"),
        ({"values": 1}, "values takes a list"),
        ({"values": [1], "when": True}, "when must be an expression"),
        ({"range": [0, 4, 0]}, "range takes"),
        ({"range": [0, 1.5]}, "range takes"),
        ({"range": "04"}, "range takes"),
        ({"range": [4, 1]}, "has 0 values"),
        ({"range": [10**9]}, "has 1000000000 values"),
        ({"pow2": [3, 8]}, "two powers of two"),
        ({"pow2": [8, 4]}, "two powers of two"),
        ({"pow2": [0, 4]}, "two powers of two"),
        ({"pow2": [1, 2, 4]}, "two powers of two"),
    ],
)
def test_a_malformed_declaration_says_what_is_wrong(declared, message):
    with pytest.raises(DraftError, match=message):
        read_parameter("T", declared)


def test_a_condition_is_part_of_what_a_draft_is():
    plain = Draft("numba", "code", (Parameter("T", (1, 2)),))
    limited = Draft("numba", "code", (Parameter("T", (1, 2), "U > 1"),))
    assert plain.hash != limited.hash
