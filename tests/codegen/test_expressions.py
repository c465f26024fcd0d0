import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.codegen.expressions import Column, parse
from outpace.errors import DraftError


def holds_at(text, **values):
    return parse(text).holds_at({k: Column.of(v) for k, v in values.items()}).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a * 2 <= 6", [True, True, True, False]),
        ("1 < a <= 3", [False, True, True, False]),
        ("a in (1, 4)", [True, False, False, True]),
        ("a not in (1, 4)", [False, True, True, False]),
        ("12 % (a - 1) == 0", [False, True, True, True]),
        ("a == 1 or 12 % (a - 1) == 2", [True, False, False, False]),
        ("min(a, 3) == max(3, 2)", [False, False, True, True]),
        ("(2 if a > 2 else 7) == 7", [True, True, False, False]),
        ("not a - 1", [True, False, False, False]),
        ("2 ** (a * 30) > 2 ** 89", [False, False, True, True]),
        ("1 / a == 0.5", [False, True, False, False]),
        ("-a // 2 == -2", [False, False, True, True]),
        ("2 ** -a == 0.25", [False, True, False, False]),
    ],
)
def test_meaning(text, expected):
    values = [1, 2, 3, 4]
    assert np.broadcast_to(holds_at(text, a=values), 4).tolist() == expected
    assert [parse(text).holds({"a": a}) for a in values] == expected


def test_strings_are_compared():
    assert holds_at("layout == 'soa'", layout=["aos", "soa"]) == [False, True]
    assert holds_at("layout in ('soa', 'tiled')", layout=["aos", "soa"]) == [False, True]


def test_names_come_in_order_of_appearance():
    assert parse("b * min(a, b) < c").names == ("b", "a", "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a +", "is not an expression"),
        ("a.b > 1", "uses Attribute"),
        ("f(a) > 1", "calls something else"),
        ("min(a) > 1", "calls something else"),
        ("a in b", "behind `in`"),
        ("1 in (1, 2) == a", "behind `in`"),
        ("(a, b) == 1", "several values"),
        ("min > 1", "it is a function"),
        ("a == None", "uses None"),
        ("[x for x in a]", "uses ListComp"),
        ("+".join("a" * 300), "too long"),
        ("a & 1", "uses BitAnd"),
    ],
)
def test_what_is_no_expression_is_refused(text, message):
    with pytest.raises(DraftError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layout + 1 > 0", "computes with a string"),
        ("layout == 3", "compares a string with a number"),
        ("not layout", "computes with a string"),
        ("(layout if n else 1) == 1", "a string in one case"),
        ("n ** n ** n ** n > 0", "more than 1000 bits"),
        ("9 ** 999 * n > 0", "more than 1000 bits"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(text, message):
    with pytest.raises(DraftError, match=message):
        holds_at(text, layout=["aos", "soa"], n=[7, 8])


def test_values_are_of_one_kind():
    with pytest.raises(DraftError, match="mixes strings and numbers"):
        Column.of([1, "auto"])


NAMES = ("a", "b", "c")
LEAVES = st.sampled_from([*NAMES, "0", "1", "2", "7", "3.5", "True", "1073741824"])


def grown(inner):
    both = st.tuples(inner, inner)
    binary = st.sampled_from(
        ["+", "-", "*", "/", "//", "%", "<", "<=", "==", "!=", ">", "and", "or"]
    )
    return st.one_of(
        st.tuples(both, binary).map(lambda t: f"({t[0][0]} {t[1]} {t[0][1]})"),
        both.map(lambda t: f"min({t[0]}, {t[1]})"),
        both.map(lambda t: f"({t[0]} in (1, {t[1]}))"),
        st.tuples(both, inner).map(lambda t: f"({t[0][0]} if {t[1]} else {t[0][1]})"),
        inner.map(lambda e: f"(not {e})"),
        inner.map(lambda e: f"(-{e})"),
    )


EXPRESSIONS = st.recursive(LEAVES, grown, max_leaves=8)
VALUES = st.lists(
    st.one_of(st.integers(-4, 40), st.sampled_from([2**31, 2**62, 2**70]), st.booleans()),
    min_size=1,
    max_size=4,
)


@given(EXPRESSIONS, VALUES, VALUES, VALUES)
def test_arrays_give_what_python_gives(text, a, b, c):
    expression = parse(text)
    mesh = np.ix_(range(len(a)), range(len(b)), range(len(c)))
    columns = {
        name: Column.of(values).at(at)
        for name, values, at in zip(NAMES, (a, b, c), mesh, strict=True)
    }
    shape = tuple(map(len, (a, b, c)))
    got = np.broadcast_to(expression.holds_at(columns), shape)
    for i, j, k in np.ndindex(shape):
        binding = {"a": a[i], "b": b[j], "c": c[k]}
        assert got[i, j, k] == expression.holds(binding), binding
