import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.codegen.cuda.expressions import parse_condition, parse_integer
from outpace.errors import DraftError

NAMES = {"n": 37, "tile": 16, "k": -3}
FITS = range(-(2**63), 2**63)


def ceildiv(a, b):
    return -(-a // b)


leaves = st.one_of(st.integers(0, 2**40).map(str), st.sampled_from(sorted(NAMES)))


def combined(parts):
    binary = st.tuples(parts, st.sampled_from(["+", "-", "*", "//", "%", "<<", ">>"]), parts)
    called = st.tuples(st.sampled_from(["min", "max", "ceildiv"]), parts, parts)
    return st.one_of(
        binary.map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        called.map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        parts.map(lambda text: f"(-{text})"),
    )


expressions = st.recursive(leaves, combined, max_leaves=12)
EVERYTHING = {"__builtins__": {}, "min": min, "max": max, "ceildiv": ceildiv, **NAMES}


def parts_fit(text):
    """Whether every part of an expression has a value of 64 bits, by Python's own evaluation."""
    parts = list(ast.walk(ast.parse(text, mode="eval")))
    shifts = (ast.LShift, ast.RShift)
    shifted = [p.right for p in parts if isinstance(p, ast.BinOp) and isinstance(p.op, shifts)]
    if not all(0 <= value_of(bits) < 64 for bits in shifted):
        return False
    valued = (ast.BinOp, ast.UnaryOp, ast.Call, ast.Constant)
    return all(value_of(part) in FITS for part in parts if isinstance(part, valued))


def value_of(node):
    return eval(compile(ast.Expression(node), "<test>", "eval"), EVERYTHING)


@given(expressions)
def test_the_value_is_that_of_pythons_integers(text):
    try:
        expected = eval(text, EVERYTHING) if parts_fit(text) else None
    except (ZeroDivisionError, ValueError, OverflowError, MemoryError):
        expected = None
    if expected is None:
        with pytest.raises(DraftError, match=r"divides by zero|shifts by|does not fit"):
            parse_integer(text).value(NAMES)
    else:
        assert parse_integer(text).value(NAMES) == expected


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9).filter(bool))
def test_ceildiv_rounds_up(a, b):
    quotient = parse_integer(f"ceildiv({a}, {b})").value({})
    assert (quotient - 1) * abs(b) < a * (1 if b > 0 else -1) <= quotient * abs(b)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("n > 3", True),
        ("0 < n < 10", False),
        ("n % 2 == 1 and not tile == 8", True),
        ("n == 1 or tile != 16", False),
    ],
)
def test_a_condition_is_0_or_1(text, holds):
    assert parse_condition(text).value(NAMES) == int(holds)


@pytest.mark.parametrize(
    "text",
    [
        *("n / 2", "2 ** n", "n.real", "abs(n)", "1.5", "True", "n > 1", "ceildiv(n)", "min(n)"),
        *("n if 1 else 2", "[n]", "min", "", "n +", "'n'"),
    ],
)
def test_what_is_no_integer_expression_is_refused(text):
    with pytest.raises(DraftError):
        parse_integer(text)


@pytest.mark.parametrize("text", ["n", "n + 1", "n in (1, 2)", "n is 2", "True"])
def test_what_compares_nothing_is_no_condition(text):
    with pytest.raises(DraftError, match="is no condition"):
        parse_condition(text)


def test_an_unbound_name_is_told_with_those_there_are():
    with pytest.raises(DraftError, match=r"'m \+ 1' uses 'm', which is not known; there are n"):
        parse_integer("m + 1").value({"n": 1})


def test_deep_expressions_are_refused_not_overrun():
    with pytest.raises(DraftError, match="is too long"):
        parse_integer(" + ".join(["n"] * 1000))
    with pytest.raises(DraftError):
        parse_integer("(" * 5000 + "n" + ")" * 5000)
